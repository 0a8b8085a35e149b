-- The same writes as one statement: one round trip.
\set n random(1, :users)
with q as (
  update user_quotas set videos_created = videos_created + 1, updated_at = now()
  where user_id = 'user-' || (:n - 1) and videos_created < videos_limit returning user_id),
v as (
  insert into videos (id, user_id, model, prompt, size, seconds, step, due_at, provider, account, fingerprint,
    quota_period, seq)
  select 'video_' || replace(uuidv7()::text, '-', ''), user_id, 'sora-2', 'A paper boat in the rain',
    '720x1280', '4', 'submit', now(), 'openai', 'default', md5(random()::text), now(), 1 from q
  returning id, user_id)
insert into video_events (video_id, event_type, event_data, seq, user_id)
select id, 'created', '{"model": "sora-2"}', 1, user_id from v;
