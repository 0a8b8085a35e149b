"""The same orchestrator to clients of the OpenAI API: its paths, its objects, its errors."""
