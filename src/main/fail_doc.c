/*
 * The failures as a section of the manual.  sluiced --dump-mdoc; the page
 * is made from it by contrib/manrows.sh, as are the keys.
 */
#include "main/fail_doc.h"

#include "http/fail.h"

/* Text of a macro line or a paragraph: nothing of it is a request. */
static void
put_text(FILE *out, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", out);
	for (; *s != '\0'; s++) {
		if (*s == '\\')
			fputs("\\e", out);
		else if (*s == '-')
			fputs("\\-", out);
		else
			fputc(*s, out);
	}
	fputc('\n', out);
}

static void
put_row(FILE *out, const struct fail_row *r)
{
	fprintf(out, ".It Li %s", r->name);
	if (r->status != 0)
		fprintf(out, " Pq %u", r->status);
	fputc('\n', out);
	put_text(out, r->text);
	put_text(out, r->advice);
	if ((r->flags & FAIL_F_B) != 0)
		fputs("It counts against the server.\n", out);
	if ((r->flags & FAIL_F_C) != 0)
		fputs("The head was sent: the client gets a cut answer.\n",
		    out);
	else if (r->proxy[0] != '\0')
		fprintf(out, "RFC 9209:\n.Li %s .\n", r->proxy);
}

void
fail_doc_print(FILE *out)
{
	fputs(".Sh FAILURES\n"
	    "Every way a request can fail has a name, with which it stands "
	    "in the access record\n.Pq Ic fail ,\nin the line of an attempt "
	    "that failed, in the counters, in the error page and, where a "
	    "server is concerned, as details of the field\n"
	    ".Li Proxy-Status .\n"
	    "Those that count against the server are what\n"
	    ".Ic outlier\nand\n.Ic breaker\ngo by, besides answers of "
	    "5xx and codes of gRPC that are like them.\n"
	    ".Dq sluicectl why NAME\n"
	    "tells the same, and when it was seen last.\n"
	    "Behind the name stands the status that the client gets, if "
	    "there is anybody left to answer.\n"
	    "An answer that breaks off after its head says nothing more: its "
	    "connection is closed, or reset where a close would be the end "
	    "of the body.\nA\n.Li Proxy-Status\n"
	    "among trailers, as RFC 9209 has it, would need a last chunk "
	    "before it, by which whoever passes trailers over takes the body "
	    "for whole (RFC 9112 8).\n"
	    "The error type of RFC 9209 is the one of the row, but for a "
	    "socket file that cannot be reached, which is\n"
	    ".Li destination_unavailable ,\n"
	    "and for\n.Li total_timeout\nand\n.Li deadline_exceeded\n"
	    "while the client is waited for within its upload\n"
	    ".Pq Li http_request_error ,\n"
	    "the address of a name\n.Pq Li dns_timeout ,\n"
	    "a connection\n.Pq Li connection_timeout\n"
	    "or a place in the queue\n"
	    ".Pq Li connection_limit_reached .\n"
	    ".Bl -tag -width Ds\n", out);
	for (unsigned i = FAIL_NONE + 1; i < FAIL_N; i++)
		put_row(out, fail_row((enum fail)i));
	fputs(".El\n", out);
}
