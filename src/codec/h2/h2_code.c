/*
 * Rows of the fail table and error codes of HTTP/2 (h2_code.h).
 */
#include "codec/h2/h2_code.h"

#include <nghttp2/nghttp2.h>

/*
 * What the client did wrong is told so; what it lost interest in, or was
 * too slow for, is cancelled; all else went wrong here or behind us.
 */
uint32_t
h2_code_of(enum fail why)
{
	switch (why) {
	case FAIL_NONE:
		return NGHTTP2_NO_ERROR;
	case FAIL_CLIENT_GONE:
	case FAIL_CLIENT_RESET:
	case FAIL_BODY_TIMEOUT:
	case FAIL_BODY_TOO_SLOW:
	case FAIL_WRITE_TIMEOUT:
	case FAIL_DRAINING:
	case FAIL_GENERATION_EXPIRED:
		return NGHTTP2_CANCEL;
	case FAIL_BODY_CUT:
	case FAIL_LENGTH_MISMATCH:
	case FAIL_BAD_TRAILER:
		return NGHTTP2_PROTOCOL_ERROR;
	default:
		return NGHTTP2_INTERNAL_ERROR;
	}
}

const char *
h2_code_name(uint32_t code)
{
	static const char *const	names[] = {
		"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR",
		"FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
		"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL",
		"COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
		"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"
	};

	return code < sizeof(names) / sizeof(names[0]) ? names[code] :
	    "an unknown code";
}
