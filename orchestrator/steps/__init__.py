"""What workers do to videos. Each step has the same silhouette: claim (a transaction), act (a
call), record.
"""
