-- A submission as five round trips: what the simplest correct program does.
\set n random(1, :users)
begin;
update user_quotas set videos_created = videos_created + 1, updated_at = now()
  where user_id = 'user-' || (:n - 1) and videos_created < videos_limit;
insert into videos (id, user_id, model, prompt, size, seconds, step, due_at, provider, account, fingerprint,
    quota_period, seq)
  values ('video_' || replace(uuidv7()::text, '-', ''), 'user-' || (:n - 1), 'sora-2', 'A paper boat in the rain',
    '720x1280', '4', 'submit', now(), 'openai', 'default', md5(random()::text), now(), 1)
  returning id as video \gset
insert into video_events (video_id, event_type, event_data, seq, user_id)
  values (:video, 'created', '{"model": "sora-2"}', 1, 'user-' || (:n - 1));
commit;
