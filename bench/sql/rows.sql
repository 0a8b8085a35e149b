-- A thousand submissions as one statement.
\set n random(1, :users)
with v as (
  insert into videos (id, user_id, model, prompt, size, seconds, step, due_at, provider, account, fingerprint,
    quota_period, seq)
  select 'video_' || replace(uuidv7()::text, '-', ''), 'user-' || (:n - 1), 'sora-2', 'A paper boat in the rain',
    '720x1280', '4', 'submit', now(), 'openai', 'default', md5(random()::text), now(), 1 from generate_series(1, 1000)
  returning id, user_id)
insert into video_events (video_id, event_type, event_data, seq, user_id)
select id, 'created', '{"model": "sora-2"}', 1, user_id from v;
