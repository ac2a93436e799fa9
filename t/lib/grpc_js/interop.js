// grpc-js as one end of a test; the other is ../interop.py, which says how
// both are called and what they say.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const pkg = grpc.loadPackageDefinition(loader.loadSync(
	path.join(__dirname, '..', 'interop.proto'))).sluice.test;
const say = (...words) => process.stdout.write(words.join(' ') + '\n');

const BIG = 271828;
const BIG_ANSWER = 314159;
const SIZES = [31415, 9, 2653, 58979];
const ASKS = [27182, 8, 1828, 45904];
const ODD = '\t\ntest with whitespace\r\n' +
	'and Unicode BMP \u263a and non-BMP \u{1f608}\t\n';

// --- the server ---

function echo(call) {
	const back = call.metadata.get('x-echo-initial');
	if (back.length > 0) {
		const m = new grpc.Metadata();
		m.set('x-echo-initial', back[0]);
		call.sendMetadata(m);
	}
	const end = new grpc.Metadata();
	const bin = call.metadata.get('x-echo-trailing-bin');
	if (bin.length > 0)
		end.set('x-echo-trailing-bin', bin[0]);
	return end;
}

const answer = (size, total) => ({ payload: Buffer.alloc(size || 0), total });
const failure = (s, metadata) =>
	({ code: s.code, details: s.text, metadata });

const methods = {
	Nothing: (call, done) => done(null, {}),
	Unary: (call, done) => {
		const a = call.request;
		const end = echo(call);
		call.on('cancelled', () => say('cancelled', 'Unary'));
		setTimeout(() => {
			if (a.status)
				done(failure(a.status, end));
			else
				done(null, answer((a.sizes || [])[0],
					a.payload.length), end);
		}, a.pause || 0);
	},
	Gather: (call, done) => {
		let total = 0, n = 0;
		call.on('data', (a) => {
			if (n++ === 0)
				say('first', 'Gather');
			total += a.payload.length;
		});
		call.on('cancelled', () => say('cancelled', 'Gather'));
		call.on('end', () => done(null, answer(0, total)));
	},
	Spread: async (call) => {
		const a = call.request;
		for (const n of a.sizes)
			if (!call.write(answer(n)) && !call.cancelled)
				await new Promise((r) => call.once('drain', r));
		call.end();
	},
	Chat: (call) => {
		const end = echo(call);
		let late = 0;
		call.on('cancelled', () => say('cancelled', 'Chat'));
		call.on('data', (a) => {
			late = Math.max(late, a.pause || 0);
			const go = () => {
				if (a.status) {
					call.emit('error', failure(a.status, end));
					return;
				}
				for (const n of a.sizes || [])
					call.write(answer(n));
			};
			if (a.pause)
				setTimeout(go, a.pause);
			else
				go();
		});
		call.on('end', () => setTimeout(() => call.end(end), late));
	},
};

function server(cert, key) {
	const s = new grpc.Server();
	s.addService(Object.fromEntries(Object.entries(pkg.Interop.service)
		.filter(([name]) => name !== 'Missing')), methods);
	const own = cert ? grpc.ServerCredentials.createSsl(null, [{
		private_key: fs.readFileSync(key),
		cert_chain: fs.readFileSync(cert),
	}]) : grpc.ServerCredentials.createInsecure();
	s.bindAsync('127.0.0.1:0', own, (err, port) => {
		if (err)
			throw err;
		say(port);
	});
	// until whoever started it is gone
	process.stdin.on('end', () => process.exit(0)).resume();
}

// --- the client ---

function must(right, what) {
	if (!right)
		throw new Error(what || 'it is not so');
}

const until = (ms) => ({ deadline: Date.now() + ms });
const call1 = (c, name, a, meta) => new Promise((good, bad) => {
	const one = { trailers: null };
	const call = c[name](a, meta || new grpc.Metadata(), until(20000),
		(err, r) => err ? bad(err) : setImmediate(() =>
			good({ ...one, r })));
	call.on('metadata', (m) => { one.initial = m; });
	call.on('status', (s) => { one.trailers = s.metadata; });
});

async function fails(promise, code) {
	try {
		await promise;
	} catch (e) {
		must(e.code === code, `${e.code}: ${e.details || e.message}`);
		return e;
	}
	throw new Error('it did not fail');
}

// all that a stream brings; fails as it does
const all = (call) => new Promise((good, bad) => {
	const got = [], one = { got };
	call.on('data', (a) => got.push(a.payload.length));
	call.on('metadata', (m) => { one.initial = m; });
	call.on('error', bad);
	call.on('status', (s) => {
		one.trailers = s.metadata;
		if (s.code === 0)
			good(one);
	});
});

const odd = () => {
	const m = new grpc.Metadata();
	m.set('x-echo-initial', 'test_initial_metadata_value');
	m.set('x-echo-trailing-bin', Buffer.from('ababab', 'hex'));
	return m;
};
const isOdd = (one) => one.initial.get('x-echo-initial')[0] ===
	'test_initial_metadata_value' && one.trailers.get(
	'x-echo-trailing-bin')[0].toString('hex') === 'ababab';
const big = { payload: Buffer.alloc(BIG), sizes: [BIG_ANSWER] };
const message = 'test status message';

const cases = {
	empty_unary: (c) => call1(c, 'Nothing', {}),
	large_unary: async (c) => {
		const { r } = await call1(c, 'Unary', big);
		must(r.payload.length === BIG_ANSWER && r.total === BIG);
	},
	client_streaming: (c) => new Promise((good, bad) => {
		const call = c.Gather(until(20000), (err, r) => err ? bad(err) :
			good(must(r.total === ASKS.reduce((a, b) => a + b))));
		for (const n of ASKS)
			call.write({ payload: Buffer.alloc(n) });
		call.end();
	}),
	server_streaming: async (c) => {
		const { got } = await all(c.Spread({ sizes: SIZES },
			until(20000)));
		must(String(got) === String(SIZES), got);
	},
	ping_pong: async (c) => {
		const call = c.Chat(until(20000));
		let at = 0;
		const next = () => call.write({
			payload: Buffer.alloc(ASKS[at]), sizes: [SIZES[at]] });
		const end = all(call);
		call.on('data', () => ++at < ASKS.length ? next() : call.end());
		next();
		must(String((await end).got) === String(SIZES));
	},
	empty_stream: async (c) => {
		const call = c.Chat(until(20000));
		call.end();
		must((await all(call)).got.length === 0);
	},
	cancel_after_begin: (c) => fails(new Promise((good, bad) => {
		const call = c.Gather(until(20000), (err) => err ? bad(err) :
			good());
		call.cancel();
	}), grpc.status.CANCELLED),
	cancel_after_first_response: (c) => {
		const call = c.Chat(until(20000));
		call.on('data', () => call.cancel());
		call.write({ payload: Buffer.alloc(ASKS[0]), sizes: [SIZES[0]] });
		return fails(all(call), grpc.status.CANCELLED);
	},
	timeout_on_sleeping_server: (c) => {
		const call = c.Chat(until(100));
		call.write({ payload: Buffer.alloc(ASKS[0]), sizes: [1],
			pause: 3000 });
		call.end();
		return fails(all(call), grpc.status.DEADLINE_EXCEEDED);
	},
	status_code_and_message: async (c) => {
		const a = { status: { code: 2, text: message } };
		let e = await fails(call1(c, 'Unary', a), grpc.status.UNKNOWN);
		must(e.details === message, e.details);
		const call = c.Chat(until(20000));
		call.write(a);
		call.end();
		e = await fails(all(call), grpc.status.UNKNOWN);
		must(e.details === message, e.details);
	},
	special_status_message: async (c) => {
		const e = await fails(call1(c, 'Unary', {
			status: { code: 2, text: ODD } }), grpc.status.UNKNOWN);
		must(e.details === ODD, JSON.stringify(e.details));
	},
	custom_metadata: async (c) => {
		must(isOdd(await call1(c, 'Unary', big, odd())), 'unary');
		const call = c.Chat(odd(), until(20000));
		call.write(big);
		call.end();
		must(isOdd(await all(call)), 'stream');
	},
	unimplemented_method: (c) => fails(call1(c, 'Missing', {}),
		grpc.status.UNIMPLEMENTED),
	unimplemented_service: (c, absent) => fails(call1(absent, 'Nothing', {}),
		grpc.status.UNIMPLEMENTED),
};

async function client(port, ca) {
	const own = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) :
		grpc.credentials.createInsecure();
	const c = new pkg.Interop(`localhost:${port}`, own);
	const absent = new pkg.Absent(`localhost:${port}`, own);
	for (const [name, run] of Object.entries(cases))
		try {
			await run(c, absent);
			say('ok', name);
		} catch (e) {
			say('bad', name, String(e.message).replace(/\n/g, ' '));
		}
	c.close();
	absent.close();
	// its timers of calls that are over need not be waited for
	process.exit(0);
}

({ server, client })[process.argv[2]](...process.argv.slice(3));
