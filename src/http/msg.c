/*
 * Methods and status codes (RFC 9110 9 and 15).  All processes; pure.
 *
 * Methods are case-sensitive.  Those without a row are METHOD_OTHER and
 * travel as their text.  Phrases are for people: nobody acts on them.
 */
#include "http/msg.h"

static const struct str methods[METHOD_N] = {
	[METHOD_OTHER] = STR_INIT(""),
	[METHOD_GET] = STR_INIT("GET"),
	[METHOD_HEAD] = STR_INIT("HEAD"),
	[METHOD_POST] = STR_INIT("POST"),
	[METHOD_PUT] = STR_INIT("PUT"),
	[METHOD_DELETE] = STR_INIT("DELETE"),
	[METHOD_CONNECT] = STR_INIT("CONNECT"),
	[METHOD_OPTIONS] = STR_INIT("OPTIONS"),
	[METHOD_TRACE] = STR_INIT("TRACE"),
	[METHOD_PATCH] = STR_INIT("PATCH")
};

/* the registry of status codes, by class and the two digits after it */
static const struct str reasons[5][32] = {
	{
		[0] = STR_INIT("Continue"),
		[1] = STR_INIT("Switching Protocols"),
		[2] = STR_INIT("Processing"),
		[3] = STR_INIT("Early Hints")
	}, {
		[0] = STR_INIT("OK"),
		[1] = STR_INIT("Created"),
		[2] = STR_INIT("Accepted"),
		[3] = STR_INIT("Non-Authoritative Information"),
		[4] = STR_INIT("No Content"),
		[5] = STR_INIT("Reset Content"),
		[6] = STR_INIT("Partial Content"),
		[7] = STR_INIT("Multi-Status"),
		[8] = STR_INIT("Already Reported"),
		[26] = STR_INIT("IM Used")
	}, {
		[0] = STR_INIT("Multiple Choices"),
		[1] = STR_INIT("Moved Permanently"),
		[2] = STR_INIT("Found"),
		[3] = STR_INIT("See Other"),
		[4] = STR_INIT("Not Modified"),
		[5] = STR_INIT("Use Proxy"),
		[7] = STR_INIT("Temporary Redirect"),
		[8] = STR_INIT("Permanent Redirect")
	}, {
		[0] = STR_INIT("Bad Request"),
		[1] = STR_INIT("Unauthorized"),
		[2] = STR_INIT("Payment Required"),
		[3] = STR_INIT("Forbidden"),
		[4] = STR_INIT("Not Found"),
		[5] = STR_INIT("Method Not Allowed"),
		[6] = STR_INIT("Not Acceptable"),
		[7] = STR_INIT("Proxy Authentication Required"),
		[8] = STR_INIT("Request Timeout"),
		[9] = STR_INIT("Conflict"),
		[10] = STR_INIT("Gone"),
		[11] = STR_INIT("Length Required"),
		[12] = STR_INIT("Precondition Failed"),
		[13] = STR_INIT("Content Too Large"),
		[14] = STR_INIT("URI Too Long"),
		[15] = STR_INIT("Unsupported Media Type"),
		[16] = STR_INIT("Range Not Satisfiable"),
		[17] = STR_INIT("Expectation Failed"),
		[21] = STR_INIT("Misdirected Request"),
		[22] = STR_INIT("Unprocessable Content"),
		[23] = STR_INIT("Locked"),
		[24] = STR_INIT("Failed Dependency"),
		[25] = STR_INIT("Too Early"),
		[26] = STR_INIT("Upgrade Required"),
		[28] = STR_INIT("Precondition Required"),
		[29] = STR_INIT("Too Many Requests"),
		[31] = STR_INIT("Request Header Fields Too Large")
	}, {
		[0] = STR_INIT("Internal Server Error"),
		[1] = STR_INIT("Not Implemented"),
		[2] = STR_INIT("Bad Gateway"),
		[3] = STR_INIT("Service Unavailable"),
		[4] = STR_INIT("Gateway Timeout"),
		[5] = STR_INIT("HTTP Version Not Supported"),
		[6] = STR_INIT("Variant Also Negotiates"),
		[7] = STR_INIT("Insufficient Storage"),
		[8] = STR_INIT("Loop Detected"),
		[11] = STR_INIT("Network Authentication Required")
	}
};

static enum http_method
check(struct str s, enum http_method m)
{
	return str_eq(s, methods[m]) ? m : METHOD_OTHER;
}

/* By length first: at most two compares. */
enum http_method
msg_method(struct str s)
{
	switch (s.n) {
	case 3:
		return check(s, s.p[0] == 'G' ? METHOD_GET : METHOD_PUT);
	case 4:
		return check(s, s.p[0] == 'H' ? METHOD_HEAD : METHOD_POST);
	case 5:
		return check(s, s.p[0] == 'T' ? METHOD_TRACE : METHOD_PATCH);
	case 6:
		return check(s, METHOD_DELETE);
	case 7:
		return check(s,
		    s.p[0] == 'C' ? METHOD_CONNECT : METHOD_OPTIONS);
	default:
		return METHOD_OTHER;
	}
}

struct str
msg_method_text(enum http_method m)
{
	return (unsigned)m < METHOD_N ? methods[m] : methods[METHOD_OTHER];
}

bool
msg_wants_length(enum http_method m)
{
	return m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH;
}

bool
msg_is_idempotent(enum http_method m)
{
	switch (m) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_PUT:
	case METHOD_DELETE:
	case METHOD_OPTIONS:
	case METHOD_TRACE:
		return true;
	default:
		return false;
	}
}

struct str
msg_version(const struct msg *m)
{
	if (m->major == 2)
		return STR("2.0");
	return m->minor == 0 ? STR("1.0") : STR("1.1");
}

struct str
msg_reason(unsigned status)
{
	struct str	r;

	if (status == 451)
		return STR("Unavailable For Legal Reasons");
	if (status < 100 || status > 599 || status % 100 > 31)
		return STR("");
	r = reasons[status / 100 - 1][status % 100];
	return r.p == NULL ? STR("") : r;
}
