-- schema.sql as it was at version 1: the oldest that can be upgraded.
--
-- Statuses and the like are text with a CHECK, not ENUMs: an enum value can never be taken back.
-- Ids are compared as bytes (COLLATE "C"): they are time-ordered and ASCII. Due times are always compared with this database's clock.

-- One requested video and its whole life. Nothing but the transition function (orchestrator/db/transitions.py) writes `status`.
create table if not exists videos (
  id                    text collate "C" primary key,         -- ours: video_<uuidv7 hex>
  user_id               text collate "C" not null,
  model                 text not null,
  -- queued       accepted by us; the provider has not confirmed it yet
  -- in_progress  the provider works on it, or we are copying its result
  -- completed    its bytes lie, checked, in our own storage
  -- failed       it will not come; error_code says why
  -- cancelled    the user did not want it any longer
  -- deleted      hidden; its bytes are purged after DELETED_RETENTION_DAYS
  status                text not null default 'queued'
                        check (status in ('queued', 'in_progress', 'completed', 'failed', 'cancelled', 'deleted')),
  progress              smallint not null default 0 check (progress between 0 and 100),
  prompt                text not null,
  size                  text not null,
  seconds               text not null,
  quality               text,
  remixed_from_video_id text collate "C",
  file_url              text,                                 -- our own paths, never the provider's
  thumbnail_url         text,
  error_message         text,
  created_at            timestamptz not null default now(),
  updated_at            timestamptz not null default now(),
  completed_at          timestamptz,
  expires_at            timestamptz,                          -- when our copy is pruned; null: never
  metadata              jsonb not null default '{}',

  kind                  text not null default 'create' check (kind in ('create', 'remix', 'edit', 'extension')),
  step                  text check (step in ('submit', 'poll', 'store')), -- what a worker must do next
  due_at                timestamptz,                          -- not before; null with a step: an open attempt or an operator moves it
  rung_at               timestamptz,                          -- when a message last named this step; a hint, never the truth
  admitted_at           timestamptz,                          -- when it was given a free slot at its provider
  lease_token           text,                                 -- who works on the step; fences late writers
  lease_until           timestamptz,
  seq                   integer not null default 0,           -- number of the last event; also the version in the cache
  provider              text not null,
  account               text not null,
  finished_at           timestamptz,
  deadline_at           timestamptz,                          -- counts from acceptance
  run_at                timestamptz,                          -- the user asked for it not to start before
  priority              smallint not null default 0 check (priority between -100 and 100),
  rank_at               timestamptz not null default now(),   -- created_at - priority x 10 min: a waiting video outranks in time
  fingerprint           text not null,                        -- sha256 of the whole request; equal ones are interchangeable
  api_key_id            text,
  first_fetched_at      timestamptz,
  retry_of              text collate "C",
  archived_at           timestamptz,
  deleted_at            timestamptz,
  purged_at             timestamptz,                          -- when its bytes were removed
  hold_reason           text,                                 -- waits for an operator
  error_code            text,
  failures              integer not null default 0,           -- of the present step, in a row; drives its backoff
  cost_estimated        numeric(12, 4) not null default 0,    -- US dollars
  cost_actual           numeric(12, 4) not null default 0,    -- what its attempts were charged, as far as known
  quota_state           text not null default 'reserved' check (quota_state in ('reserved', 'kept', 'released')),
  quota_period          timestamptz not null,                 -- user_quotas.period_started_at when it was reserved
  webhook_url           text,
  input_key             text,
  input_sha256          text,
  input_bytes           bigint,
  input_type            text,
  content_key           text,
  content_sha256        text,
  content_bytes         bigint,
  content_type          text,
  thumbnail_key         text,
  spritesheet_key       text,
  missing_since         timestamptz,                          -- the provider has said 404 since then
  last_polled_at        timestamptz,

  constraint videos_end check ((finished_at is not null) = (status in ('completed', 'failed', 'cancelled', 'deleted'))),
  constraint videos_step check ((step is null) = (status in ('completed', 'failed', 'cancelled', 'deleted'))),
  constraint videos_completed check (status = 'deleted' or (completed_at is not null) = (status = 'completed')),
  constraint videos_bytes check (status <> 'completed' or purged_at is not null or content_key is not null),
  constraint videos_deleted check ((deleted_at is not null) = (status = 'deleted')),
  constraint videos_lease check ((lease_token is null) = (lease_until is null))
);
-- Lists: newest first, per user, with each filter that the API offers.
create index if not exists videos_user_created on videos (user_id, created_at desc, id desc);
create index if not exists videos_user_status on videos (user_id, status, created_at desc, id desc);
-- The backlog: who waits for a slot, in the order in which each user's videos start.
create index if not exists videos_backlog on videos (provider, account, user_id, rank_at, id)
  where status = 'queued' and admitted_at is null;
-- Admitted and not yet submitted: bounds how far ahead of the workers we admit.
create index if not exists videos_admitted on videos (provider, account, admitted_at)
  where status = 'queued' and admitted_at is not null;
-- What is due and whom to ring.
create index if not exists videos_due on videos (due_at)
  where due_at is not null and (step <> 'submit' or admitted_at is not null);
create index if not exists videos_leased on videos (lease_token) where lease_token is not null;
create index if not exists videos_start on videos (created_at) where status = 'queued';
create index if not exists videos_held on videos (created_at) where hold_reason is not null;
create index if not exists videos_purge on videos (deleted_at)
  where status = 'deleted' and content_key is not null and purged_at is null;
create index if not exists videos_expiry on videos (expires_at) where expires_at is not null and purged_at is null;
create unique index if not exists videos_one_live_retry on videos (retry_of)
  where retry_of is not null and status in ('queued', 'in_progress');
create index if not exists videos_sdk_retry on videos (user_id, fingerprint, created_at) where first_fetched_at is null;
create index if not exists videos_remixes on videos (remixed_from_video_id) where remixed_from_video_id is not null;
create index if not exists videos_input on videos (input_key) where input_key is not null;

-- One submission to a provider, written before the call. Never fenced: an id that arrives late always lands here.
create table if not exists attempts (
  video_id           text collate "C" not null references videos (id) on delete cascade,
  n                  integer not null check (n > 0),
  provider           text not null,
  account            text not null,
  lane               text,                                    -- what its list shows of the request, where that is not all; null: no lane
  -- sent       the call is under way, or its caller died
  -- accepted   the provider gave an id
  -- rejected   refused, or never delivered
  -- unknown    nobody knows; the provider's list will tell
  -- abandoned  two clean looks did not find it
  state              text not null default 'sent' check (state in ('sent', 'accepted', 'rejected', 'unknown', 'abandoned')),
  sent_at            timestamptz not null default clock_timestamp(),
  accepted_at        timestamptz,
  unknown_at         timestamptz,
  looks              smallint not null default 0,             -- clean looks that did not find it
  looked_at          timestamptz,
  provider_video_id  text check (length(provider_video_id) <= 500),
  canonical_id       text check (length(canonical_id) <= 500),-- the form in which ids are compared
  http_status        integer,
  error              text,
  upstream_status    text,
  content_expires_at timestamptz,
  cost               numeric(12, 4),
  detached           boolean not null default false,          -- its video has moved on; watched to its end for its cost
  missing_since      timestamptz,
  ended_at           timestamptz,                             -- holds a slot until then
  due_at             timestamptz,                             -- when to look (unknown, abandoned, detached)
  rung_at            timestamptz,
  lease_token        text,
  lease_until        timestamptz,
  primary key (video_id, n),
  constraint attempts_accepted check (state <> 'accepted' or canonical_id is not null),
  constraint attempts_over check (state not in ('rejected', 'abandoned') or ended_at is not null),
  constraint attempts_open check (state not in ('sent', 'unknown') or ended_at is null)
);
create unique index if not exists attempts_provider_video on attempts (provider, account, canonical_id) where canonical_id is not null;
create unique index if not exists attempts_lane on attempts (provider, account, lane) where lane is not null and state in ('sent', 'unknown');
create unique index if not exists attempts_one_live on attempts (video_id) where ended_at is null and not detached;
create index if not exists attempts_open_slots on attempts (provider, account) where ended_at is null;
create index if not exists attempts_due on attempts (due_at) where due_at is not null;
create index if not exists attempts_leased on attempts (lease_token) where lease_token is not null;
create index if not exists attempts_sent on attempts (lease_until) where state = 'sent';

-- What happened, in order, never changed. Lifecycle events carry a seq without gaps per video; audit events have none.
create table if not exists video_events (
  id         bigint generated by default as identity primary key,
  video_id   text collate "C" not null references videos (id) on delete cascade,
  event_type text not null,
  event_data jsonb not null default '{}',
  created_at timestamptz not null default now(),
  seq        integer,
  user_id    text collate "C" not null,
  xid        xid8 not null default pg_current_xact_id()       -- (xid, id) below the oldest running transaction is a lossless cursor
);
create unique index if not exists video_events_seq on video_events (video_id, seq) where seq is not null;
create index if not exists video_events_video on video_events (video_id, id);
create index if not exists video_events_user on video_events (user_id, xid, id);
create index if not exists video_events_created on video_events (created_at);

-- What a user may have and has had this month (UTC). videos_created counts reserved and kept ones; there is no second counter.
create table if not exists user_quotas (
  user_id           text collate "C" primary key,
  videos_created    integer not null default 0 check (videos_created >= 0),
  videos_limit      integer not null default 100 check (videos_limit >= 0),
  reset_at          timestamptz not null,
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  period_started_at timestamptz not null default now(),       -- names the period: a video is released only within its own
  weight            real not null default 1 check (weight > 0),
  max_in_flight     integer check (max_in_flight > 0),        -- null: no cap of its own
  cost_used         numeric(14, 4) not null default 0,        -- US dollars: estimates of what is reserved, charges of what is settled
  cost_limit        numeric(14, 4) check (cost_limit >= 0)    -- null: none
);

-- A key is written in the same transaction as what it made, so that it can neither be stuck nor lost. Outlives the video.
create table if not exists idempotency_keys (
  user_id     text collate "C" not null,
  route       text not null,
  key         text collate "C" not null,
  fingerprint text not null,
  status_code smallint not null,
  video_ids   text[] not null,
  created_at  timestamptz not null default now(),
  primary key (user_id, route, key)
);
create index if not exists idempotency_keys_created on idempotency_keys (created_at);

-- Only the sha256 of a key is kept; its prefix is shown.
create table if not exists api_keys (
  id           text collate "C" primary key,
  key_hash     text not null unique,
  prefix       text not null,
  user_id      text collate "C" not null,
  role         text not null default 'user' check (role in ('user', 'admin')),
  name         text,
  created_at   timestamptz not null default now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
create index if not exists api_keys_user on api_keys (user_id, created_at);

-- What we have learnt of each provider's account; here and not in Redis, so that it survives a wipe.
create table if not exists providers (
  name               text not null,
  account            text not null,
  paused_until       timestamptz,                             -- 'infinity': until an operator resumes it
  pause_reason       text,
  pauses             integer not null default 0,              -- in a row; drives the backoff
  polls_paused_until timestamptz,
  rate_tokens        double precision,                        -- creates that may start now, of PROVIDER_RPM
  rate_at            timestamptz,
  durations          jsonb not null default '{}',             -- "model seconds" -> the last observed seconds of work
  unclaimed          integer not null default 0,              -- videos seen in its list that nobody here asked for
  duplicates         integer not null default 0,              -- late successes of attempts whose video had moved on
  updated_at         timestamptz not null default now(),
  primary key (name, account)
);

create table if not exists schema_version (
  version    integer primary key,
  applied_at timestamptz not null default now()
);
insert into schema_version (version) values (1) on conflict do nothing;
