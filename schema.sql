-- The whole schema, and the only DDL of the project. Re-runnable: `orchestrator migrate` applies this file as often as it likes.
-- Rules for changes: additive only (CREATE ... IF NOT EXISTS, ALTER TABLE ... ADD COLUMN IF NOT EXISTS), so that the release before
-- runs on it; raise the number at the end. orchestrator/db/tables.py mirrors it and a test holds the two equal.
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
  remixed_from_video_id text collate "C",                    -- the source of a remix, an edit or an extension
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
-- What an extension adds to its source; `seconds` is the length of both together, as providers show it.
alter table videos add column if not exists extension_seconds text;
-- Which tries of the openai SDK were answered with this video: bit 0 its first request, bit n its n-th retry.
alter table videos add column if not exists sdk_tries smallint not null default 1;
-- Queued for later (run_at, or put off for a while). The sweep wakes it when it is due: until then it lies in nobody's way.
alter table videos add column if not exists snoozed boolean not null default false;
-- The providers that would take it, in order, where there is more than one: between these it may move while it waits.
alter table videos add column if not exists candidates text[];
-- Waits until this lane of its provider is free; null: for no lane. With a due time it has been called: its turn has come.
alter table videos add column if not exists waits_lane text;
-- When to try again to fetch the thumbnail and spritesheet of a completed video, and how often that was tried.
alter table videos add column if not exists pictures_due_at timestamptz;
alter table videos add column if not exists pictures_tries smallint not null default 0;
-- A row changes some seven times in its life: where its page has room, a change that no index sees costs no index entry (HOT).
alter table videos set (fillfactor = 80);
-- Lists: newest first, per user, with each filter that the API offers.
create index if not exists videos_user_created on videos (user_id, created_at desc, id desc);
create index if not exists videos_archived on videos (user_id, created_at desc, id desc) where archived_at is not null;
create index if not exists videos_user_status on videos (user_id, status, created_at desc, id desc);
-- The backlog: who waits for a slot, in the order in which each user's videos start.
create index if not exists videos_ready on videos (provider, account, user_id, rank_at, id)
  where status = 'queued' and admitted_at is null and not snoozed;
-- What waits for its time: whose it is, and when it comes.
create index if not exists videos_snoozed on videos (user_id, due_at)
  where snoozed and status = 'queued' and admitted_at is null;
create index if not exists videos_waking on videos (due_at) where snoozed and status = 'queued' and admitted_at is null;
-- Of the backlog, what may go to another provider when its own is paused.
create index if not exists videos_movable on videos (provider, account, model, user_id, rank_at, id)
  where candidates is not null and status = 'queued' and admitted_at is null and not snoozed;
-- Whose turn it is in a lane.
create index if not exists videos_lanes on videos (provider, account, waits_lane, user_id, rank_at, id)
  where waits_lane is not null and status = 'queued';
create index if not exists videos_called on videos (provider, account, waits_lane, due_at)
  where waits_lane is not null and status = 'queued' and due_at is not null;
-- Since when it could have been started: START_TIMEOUT_SECONDS counts from then.
create index if not exists videos_unstarted on videos ((coalesce(run_at, created_at))) where status = 'queued';
-- Admitted and not yet submitted: bounds how far ahead of the workers we admit.
create index if not exists videos_admitted on videos (provider, account, admitted_at)
  where status = 'queued' and admitted_at is not null;
-- When a user was last given a slot: of two who have equally little in flight, the other one is next.
create index if not exists videos_served on videos (user_id, admitted_at) where admitted_at is not null;
-- What is due and whom to ring; whoever has a lease is found here, too. No index names the lease or the step, which each claim and
-- most records change.
create index if not exists videos_next on videos (due_at)
  where due_at is not null and (status = 'in_progress' or admitted_at is not null);
drop index if exists videos_due, videos_leased;
-- What is not finished yet, oldest first: the operators' list.
create index if not exists videos_unfinished on videos (created_at, id) where finished_at is null;
drop index if exists videos_live;
create index if not exists videos_held on videos (created_at) where hold_reason is not null;
create index if not exists videos_pictures on videos (pictures_due_at)
  where pictures_due_at is not null and status = 'completed' and purged_at is null;
create index if not exists videos_purge on videos (deleted_at)
  where status = 'deleted' and content_key is not null and purged_at is null;
create index if not exists videos_expiry on videos (expires_at) where expires_at is not null and purged_at is null;
create unique index if not exists videos_one_live_retry on videos (retry_of)
  where retry_of is not null and status in ('queued', 'in_progress');
create index if not exists videos_retries on videos (retry_of) where retry_of is not null;
create index if not exists videos_sdk_retry on videos (user_id, fingerprint, created_at) where first_fetched_at is null;
create index if not exists videos_remixes on videos (remixed_from_video_id) where remixed_from_video_id is not null;
create index if not exists videos_input on videos (input_key) where input_key is not null;

-- One submission to a provider, written before the call. Never fenced: an id that arrives late always lands here.
create table if not exists attempts (
  video_id           text collate "C" not null references videos (id) on delete cascade,
  n                  integer not null check (n > 0),
  provider           text not null,
  account            text not null,
  lane               text,                                    -- the lane that it has for itself: its list does not show the whole request
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
-- Its lane: a hash of what its list shows of the request; null: there is no list. Attempts that share one are equal.
alter table attempts add column if not exists shown text;
-- The provider's id that an operator gives it; it counts when the provider has shown a video under it.
alter table attempts add column if not exists adopt_id text check (length(adopt_id) <= 500);
-- Whose it is: what a user has in flight is counted for each admission, without looking at a video.
alter table attempts add column if not exists user_id text collate "C";
update attempts a set user_id = v.user_id from videos v where v.id = a.video_id and a.ended_at is null and a.user_id is null;
create index if not exists attempts_users on attempts (user_id) where ended_at is null;
create unique index if not exists attempts_provider_video on attempts (provider, account, canonical_id) where canonical_id is not null;
-- One at a time, of those that need a lane for themselves; orchestrator/db/lanes.py keeps them and those that share apart.
create unique index if not exists attempts_lane on attempts (provider, account, lane) where lane is not null and state in ('sent', 'unknown');
create index if not exists attempts_shown on attempts (provider, account, shown) where shown is not null and state in ('sent', 'unknown');
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
create unique index if not exists video_events_numbers on video_events (video_id, seq);
drop index if exists video_events_seq, video_events_video;
create index if not exists video_events_user on video_events (user_id, xid, id);
create index if not exists video_events_recent on video_events (user_id, id desc);
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
  video_ids   text[] not null,                                -- of a batch: by place, null where there is none
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
-- What the key may do of what its role may: read, write, admin; null: all of it.
alter table api_keys add column if not exists scopes text[] check (cardinality(scopes) > 0 and scopes <@ array['read', 'write', 'admin']);
-- Requests a minute; null: RATE_LIMIT_RPM.
alter table api_keys add column if not exists rate_limit integer check (rate_limit > 0);
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

-- Whom a user wants to be told of what happens, and the secrets that sign it. One row of a user may have no address: its
-- secrets sign what goes to the webhook_url of single videos.
create table if not exists webhook_endpoints (
  id              text collate "C" primary key,
  user_id         text collate "C" not null,
  url             text,
  events          text[] not null default '{}',
  description     text,
  created_at      timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  disabled_at     timestamptz,
  disabled_reason text,
  secret          text not null,                              -- plain: it has to sign
  previous_secret text,                                       -- signs as well until previous_until
  previous_until  timestamptz,
  constraint webhook_endpoints_events check (url is null or cardinality(events) > 0),
  constraint webhook_endpoints_rotation check ((previous_secret is null) = (previous_until is null))
);
create index if not exists webhook_endpoints_user on webhook_endpoints (user_id, created_at);
create unique index if not exists webhook_endpoints_videos on webhook_endpoints (user_id) where url is null;

-- What we have learnt of each receiver: an endpoint's id, or "<user> <origin>" of single videos. A row appears with the first ring.
create table if not exists webhook_targets (
  target        text collate "C" primary key,
  failures      integer not null default 0,                   -- in a row; from the third on the circuit is open
  failing_since timestamptz,
  blocked_until timestamptz,                                  -- the circuit: then one delivery tries whether it is back
  rung_at       timestamptz
);

-- One message about one event, written in the event's own transaction. Its body needs nothing but this row.
create table if not exists deliveries (
  id              bigint generated by default as identity primary key,
  message_id      text collate "C" not null,                  -- the webhook-id: evt_<id of the event>, the same each time it is sent
  endpoint_id     text collate "C" references webhook_endpoints (id) on delete cascade,
  url             text,                                       -- of a single video; null: the endpoint's
  target          text collate "C" not null,
  user_id         text collate "C" not null,
  video_id        text collate "C" references videos (id) on delete cascade, -- null: a ping
  type            text not null,
  data            jsonb not null,
  event_at        timestamptz not null default now(),
  -- pending      due at due_at
  -- delivered    the receiver answered 2xx
  -- failed       given up: tried often enough, or the receiver said 410, or the endpoint was disabled
  state           text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  attempts        integer not null default 0,
  due_at          timestamptz default now(),
  created_at      timestamptz not null default now(),
  last_attempt_at timestamptz,
  delivered_at    timestamptz,
  status_code     integer,                                    -- of the last attempt; null: no answer, error says why
  response        text,                                       -- its first 500 bytes
  error           text,
  lease_token     text,
  lease_until     timestamptz,
  constraint deliveries_address check ((endpoint_id is null) = (url is not null)),
  constraint deliveries_due check ((state = 'pending') = (due_at is not null)),
  constraint deliveries_lease check ((lease_token is null) = (lease_until is null))
);
create unique index if not exists deliveries_endpoint_message on deliveries (endpoint_id, message_id) where endpoint_id is not null;
create unique index if not exists deliveries_video_message on deliveries (video_id, message_id) where endpoint_id is null;
create index if not exists deliveries_pending on deliveries (target, due_at) where state = 'pending';
create index if not exists deliveries_leased on deliveries (lease_token) where lease_token is not null;
create index if not exists deliveries_user on deliveries (user_id, id);
create index if not exists deliveries_video on deliveries (video_id);
create index if not exists deliveries_created on deliveries (created_at);

-- Webhooks that providers have sent us: a second one with the same id says nothing new. Kept for 7 days.
create table if not exists webhook_receipts (
  provider    text not null,
  message_id  text collate "C" not null,
  received_at timestamptz not null default now(),
  primary key (provider, message_id)
);
create index if not exists webhook_receipts_received on webhook_receipts (received_at);

-- What was done with the rights of an admin: by whom, to whom or what; and what we switched off ourselves. Written in the transaction of the act; never changed,
-- except that erasing a user takes the name out.
create table if not exists audit_log (
  id         bigint generated by default as identity primary key,
  created_at timestamptz not null default now(),
  user_id    text collate "C",                                -- who; null: somebody at the command line, or the orchestrator itself
  api_key_id text,
  request_id text,                                            -- finds the lines of the log
  action     text not null,
  subject    text collate "C" not null,                       -- a user, or the id of what was acted on
  data       jsonb not null default '{}'
);
create index if not exists audit_log_user on audit_log (user_id, id desc);
create index if not exists audit_log_subject on audit_log (subject, id desc);

create table if not exists schema_version (
  version    integer primary key,
  applied_at timestamptz not null default now()
);
insert into schema_version (version) values (1) on conflict do nothing;
insert into schema_version (version) values (2) on conflict do nothing;
insert into schema_version (version) values (3) on conflict do nothing;
insert into schema_version (version) values (4) on conflict do nothing;
insert into schema_version (version) values (5) on conflict do nothing;
insert into schema_version (version) values (6) on conflict do nothing;
insert into schema_version (version) values (7) on conflict do nothing;
insert into schema_version (version) values (8) on conflict do nothing;
insert into schema_version (version) values (9) on conflict do nothing;
