"""The state page of the sandbox: one template, no scripts from elsewhere."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="3">
<title>Sandbox provider</title>
<style>
:root { color-scheme: light dark; --line: #8883; --soft: #8889; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .5rem }
p, .soft { color: var(--soft) } code { font-size: .9em }
dl { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0 }
dl div { border: 1px solid var(--line); border-radius: .6rem; padding: .5rem .9rem }
dt { font-size: .8rem; color: var(--soft) } dd { margin: 0; font-size: 1.3rem }
.alarm { border-color: #d33; color: #d33 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .45rem .6rem; border-bottom: 1px solid var(--line) }
th { font-size: .8rem; color: var(--soft); font-weight: 500 }
td.prompt { max-width: 26rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
td img { height: 56px; border-radius: .3rem; display: block }
progress { width: 6rem }
</style>
<h1>Sandbox provider</h1>
<p>A local provider that speaks the Videos API (dialect <code>{{ report.dialect }}</code>) and
renders real videos. What it counts is at <a href="/sandbox/state">/sandbox/state</a>.</p>
<dl>
<div><dt>accepted</dt><dd>{{ report.accepted.total }}</dd></div>
<div><dt>running</dt><dd>{{ report.running }}</dd></div>
<div{% if report.duplicates %} class="alarm"{% endif %}><dt>accepted twice</dt>
<dd>{{ report.duplicates | length }}</dd></div>
{% for name, count in report.requests.items() %}
<div><dt>{{ name }} requests</dt><dd>{{ count }}</dd></div>
{% endfor %}
</dl>
<h2>Faults</h2>
<p>{% if report.faults.text %}<code>{{ report.faults.text }}</code>
{% for name, count in report.faults.fired.items() %}
 · {{ name }} struck {{ count }} times{% endfor %}
{% else %}none; <code>PUT /sandbox/faults</code> asks for some{% endif %}</p>
<h2>Videos</h2>
{% if not jobs %}<p>None yet.</p>{% else %}
<table>
<tr><th></th><th>prompt</th><th>model</th><th>asked</th><th>status</th><th>id</th></tr>
{% for job in jobs %}
<tr>
<td>{% if job.status == "completed" and not job.gone and content_shown %}
<a href="/v1/videos/{{ job.public_id | urlencode }}/content">{% if stills %}
<img alt="" src="/v1/videos/{{ job.public_id | urlencode }}/content?variant=thumbnail">
{% else %}open{% endif %}</a>{% endif %}</td>
<td class="prompt" title="{{ job.prompt[:500] }}">{{ job.prompt[:160] }}</td>
<td>{{ job.model }}</td><td>{{ job.size }}, {{ job.seconds }} s</td>
<td>{% if job.gone %}<span class="soft">{{ job.gone }}</span>
{% elif job.status == "in_progress" %}<progress max="100" value="{{ job.progress }}"></progress>
{% else %}{{ job.status }}{% endif %}</td>
<td><code>{{ job.public_id[:24] }}</code></td>
</tr>
{% endfor %}
</table>
{% endif %}
"""
