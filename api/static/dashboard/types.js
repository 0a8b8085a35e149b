/**
 * What the API answers, as far as the dashboard looks at it. Names and units are those of
 * /openapi.json: times are RFC 3339, money is US dollars.
 *
 * @typedef {"queued" | "in_progress" | "completed" | "failed" | "cancelled" | "deleted"} Status
 *
 * @typedef {object} Video
 * @property {string} id
 * @property {string} user_id
 * @property {string} model
 * @property {Status} status
 * @property {number} progress 0 to 100
 * @property {string} prompt
 * @property {string} size WIDTHxHEIGHT
 * @property {string} seconds
 * @property {string | null} quality
 * @property {"create" | "remix" | "edit" | "extension"} kind
 * @property {string | null} remixed_from_video_id
 * @property {string | null} retry_of
 * @property {string | null} file_url
 * @property {string | null} thumbnail_url
 * @property {string | null} content_type
 * @property {number | null} content_bytes
 * @property {{code: string | null, message: string | null} | null} error
 * @property {string | null} hold_reason
 * @property {number} seq grows with every change
 * @property {string} created_at
 * @property {string | null} finished_at
 * @property {string | null} expires_at
 * @property {string | null} run_at
 * @property {number} priority
 * @property {string | null} webhook_url
 * @property {string | null} archived_at
 * @property {number | null} cost_estimated
 * @property {number | null} cost_actual
 *
 * @typedef {object} VideoEvent
 * @property {number} id
 * @property {string} video_id
 * @property {string} event_type
 * @property {Record<string, any>} event_data
 * @property {string} created_at
 * @property {number | null} seq
 *
 * @typedef {object} Attempt
 * @property {number} n
 * @property {string} provider
 * @property {string} state
 * @property {boolean} detached
 * @property {string} sent_at
 * @property {string | null} accepted_at
 * @property {string | null} ended_at
 * @property {number | null} http_status
 * @property {number | null} cost
 *
 * @typedef {object} Model
 * @property {string} id
 * @property {{allowed?: string[], minimum?: number, maximum?: number}} seconds
 * @property {string} default_seconds
 * @property {{allowed?: string[], minimum?: number, maximum?: number, multiple_of?: number}} sizes
 * @property {string} default_size
 * @property {boolean} remix
 * @property {boolean} input_reference
 * @property {boolean} quality
 *
 * @typedef {object} Quota
 * @property {string} user_id
 * @property {number} used
 * @property {number} limit
 * @property {number} remaining
 * @property {string} reset_at
 * @property {number} cost_used
 * @property {number | null} cost_limit
 * @property {number | null} max_in_flight
 * @property {number} weight
 *
 * @typedef {object} Session
 * @property {string} user_id
 * @property {"user" | "admin"} role
 */

export {};
