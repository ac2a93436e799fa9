// Node's ws as one end of a test.
//   server: echoes; says its port, then a line for each event
//   client URL: one line for each thing it found
'use strict';
const WebSocket = require('ws');
const say = (...words) => process.stdout.write(words.join(' ') + '\n');

function server() {
	const wss = new WebSocket.Server({
		host: '127.0.0.1', port: 0, perMessageDeflate: true,
		handleProtocols: (names) => names.has('b') ? 'b' : false,
		verifyClient: (info, done) =>
			done(info.req.url !== '/refused', 403, 'not you'),
	});
	wss.on('listening', () => say(wss.address().port));
	wss.on('connection', (ws, req) => {
		say('open', req.url, ws.protocol || '-', ws.extensions || '-');
		ws.on('message', (data, binary) => {
			if (!binary && data.toString() === 'ping me')
				ws.ping('from the server');
			else
				ws.send(data, { binary });
		});
		ws.on('ping', (data) => say('ping', data));
		ws.on('pong', (data) => say('pong', data));
		ws.on('close', (code, why) => say('close', code, why));
	});
}

function client(url) {
	const ws = new WebSocket(url, ['a', 'b'], { perMessageDeflate: true });
	const big = Buffer.alloc(1 << 20, 'sluice ');
	let n = 0;
	ws.on('open', () => {
		say('open', ws.protocol, ws.extensions);
		ws.send('text \u00e4');
	});
	ws.on('message', (data, binary) => {
		n++;
		say('message', binary, data.length > 40 ?
		    data.equals(big) : data);
		if (n === 1)
			ws.send(big);
		else if (n === 2)
			ws.ping('here');
	});
	ws.on('pong', (data) => {
		say('pong', data);
		ws.close(4001, 'enough');
	});
	ws.on('close', (code, why) => say('close', code, why));
	ws.on('unexpected-response', (req, res) => {
		say('status', res.statusCode);
		process.exit(0);
	});
	ws.on('error', (e) => { say('error', e.message); process.exit(1); });
}

if (process.argv[2] === 'server')
	server();
else
	client(process.argv[3]);
