// Rings `target` in every way that a page has. Each way leaves its name behind `how=`, by which the test knows it.
'use strict';
const event = '{"user":"me","event":"MessageNew","subject":"rung"}';
// A form makes `name=value` of it: JSON again.
const [fieldName, fieldValue] = [event.slice(0, -1) + ',"rest":"', '"}'];
const address = (how) => `${target}/notify?page=${name}&how=${how}`;
const moved = (how) => `/page/moved/${name}/${how}`;
const attempts = [];

const tell = (what) => fetch(`${home}/told/${name}/${what}`, { mode: 'no-cors' });
onerror = (message) => { tell(encodeURIComponent(message)); };

const element = (tag, properties, attributes = {}) => {
  const made = Object.assign(document.createElement(tag), properties);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  document.body.append(made);
  return made;
};
const loaded = (tag, properties, attributes) => attempts.push(new Promise((done) =>
  element(tag, { onload: done, onerror: done, ...properties }, attributes)));
const frame = (properties) => loaded('iframe', properties);
const fetched = (how, options, to = address(how)) => attempts.push(fetch(to, options).catch(() => {}));

const form = (how, properties, attributes, to = address(how)) => {
  const framed = element('iframe', { name: how });
  const made = element('form', { action: to, method: 'post', target: how, ...properties }, attributes);
  // A form that is sent by GET puts its fields in the place of the address's own.
  const fields = properties.method === 'get' ? { page: name, how } : {};
  for (const [name, value] of Object.entries({ ...fields, [fieldName]: fieldValue }))
    made.append(Object.assign(document.createElement('input'), { name, value }));
  attempts.push(new Promise((done) => { framed.onload = done; made.submit(); }));
};
form('form-urlencoded', {});
form('form-multipart', { enctype: 'multipart/form-data' });
form('form-text', { enctype: 'text/plain' });
form('form-noreferrer', { enctype: 'text/plain' }, { rel: 'noreferrer' });
form('form-get', { method: 'get' });
form('form-moved', { enctype: 'text/plain' }, {}, moved('form-moved'));

const json = { 'Content-Type': 'application/json' };
const urlencoded = { 'Content-Type': 'application/x-www-form-urlencoded' };
const typeless = new Blob([event]);
const authorization = { Authorization: 'Basic Zm9vOmJhcg==' };
fetched('fetch-put-json', { method: 'PUT', headers: json, body: event });
fetched('fetch-post-json', { method: 'POST', headers: json, body: event, credentials: 'include' });
fetched('fetch-cors-text', { method: 'POST', body: event });
fetched('fetch-authorization', { method: 'PUT', headers: authorization, body: event });
fetched('fetch-get-authorization', { headers: authorization, referrerPolicy: 'no-referrer' });
fetched('fetch-get', {});
fetched('fetch-moved', { method: 'POST', mode: 'no-cors', body: event }, moved('fetch-moved'));
for (const credentials of ['include', 'omit']) {
  const options = { method: 'POST', mode: 'no-cors', credentials };
  fetched(`fetch-text-${credentials}`, { ...options, body: event });
  fetched(`fetch-urlencoded-${credentials}`, { ...options, headers: urlencoded, body: event });
  fetched(`fetch-typeless-${credentials}`, { ...options, body: typeless });
  fetched(`fetch-no-referrer-${credentials}`, { ...options, referrerPolicy: 'no-referrer', body: typeless });
  fetched(`fetch-get-no-referrer-${credentials}`, { mode: 'no-cors', credentials, referrerPolicy: 'no-referrer' });
}
fetched('fetch-keepalive', { method: 'POST', mode: 'no-cors', keepalive: true, body: typeless });

for (const [how, method, type] of [['xhr-put', 'PUT', 'application/json'], ['xhr-post', 'POST', 'text/plain']]) {
  attempts.push(new Promise((done) => {
    const request = Object.assign(new XMLHttpRequest(), { onloadend: done, withCredentials: method === 'POST' });
    request.open(method, address(how));
    request.setRequestHeader('Content-Type', type);
    request.send(event);
  }));
}
navigator.sendBeacon(address('beacon-text'), event);
navigator.sendBeacon(address('beacon-typeless'), typeless);

loaded('img', { src: address('image') });
loaded('img', { src: address('image-no-referrer'), referrerPolicy: 'no-referrer' });
loaded('script', { src: address('script') });
loaded('link', { rel: 'stylesheet', href: address('stylesheet') });
loaded('link', { rel: 'prefetch', href: address('prefetch') });
loaded('link', { rel: 'preload', as: 'fetch', href: address('preload') });
loaded('link', { rel: 'modulepreload', href: address('modulepreload') });
loaded('object', { data: address('object') });
element('video', { src: address('video'), preload: 'auto' });
new FontFace('font', `url("${address('font')}")`).load().catch(() => {});
frame({ src: address('frame') });
frame({ srcdoc: `<meta http-equiv=refresh content='0;url=${address('frame-refresh')}'>` });
element('a', { href: '#', ping: address('ping') }).click();
// Its policy, which forbids all images, tells our target of each.
frame({ src: `/page/policy/${name}` });

attempts.push(new Promise((done) => {
  const source = new EventSource(address('event-source'), { withCredentials: true });
  source.onerror = () => { source.close(); done(); };
}));
attempts.push(new Promise((done) => {
  new WebSocket(address('websocket').replace('http:', 'ws:')).onerror = done;
}));

// Where a page has no origin of its own.
const strange = (how) => `<form method=post enctype=text/plain action="${address(how)}-form">
  <input name='${fieldName}' value='${fieldValue}'>
</form>
<script>
  const put = { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '${event}' };
  const post = { method: 'POST', mode: 'no-cors', body: new Blob(['${event}']) };
  navigator.sendBeacon('${address(how)}-beacon', post.body);
  Promise.allSettled([fetch('${address(how)}-fetch', post), fetch('${address(how)}-cors', put)])
    .then(() => document.forms[0].submit());
</script>`;
frame({ sandbox: 'allow-scripts allow-forms', srcdoc: strange('sandbox') });
frame({ src: `data:text/html,${encodeURIComponent(strange('data'))}` });
frame({ src: URL.createObjectURL(new Blob([strange('blob')], { type: 'text/html' })) });

const working = `fetch('${address('worker')}', { method: 'POST', mode: 'no-cors', body: new Blob(['${event}']) });`;
new Worker(URL.createObjectURL(new Blob([working], { type: 'text/javascript' })));
// Only loopback pages have it, without TLS.
navigator.serviceWorker?.register(`/page/worker/${name}`);

// Top-level pages.
open(address('open'), '_blank');
open(address('open-noreferrer'), '_blank', 'noreferrer');
// In a window of its own: a page that leaves takes back what it hasn't sent.
open().location = address('location');
const topForm = element('form', {
  action: address('form-top'), method: 'post', enctype: 'text/plain', target: '_blank', rel: 'noreferrer',
});
topForm.append(Object.assign(document.createElement('input'), { name: fieldName, value: fieldValue }));
topForm.submit();

Promise.all(attempts).then(() => tell('done'));
