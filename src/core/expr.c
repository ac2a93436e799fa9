/*
 * Filter expressions: read into a small tree, walked per record.
 *
 * The tree lies in one array of nodes that point at each other by index;
 * 0 is no node.  Values are read once, for the type of their field, so
 * that a match compares numbers with numbers.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/expr.h"

#include <pcre2.h>
#include <stdlib.h>

#include "base/must.h"
#include "http/date.h"
#include "os/net.h"

#define MATCH_LIMIT	100000	/* of PCRE2, for one comparison */
#define WORD_ENDS	"()=!<>~\" \t"

enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_RE };
enum kind { KIND_AND, KIND_OR, KIND_NOT, KIND_COMPARE };

struct node {
	uint8_t		 kind;
	uint8_t		 op;
	uint8_t		 field;		/* enum access_id */
	uint8_t		 left;		/* nodes of AND, OR, NOT */
	uint8_t		 right;
	struct net	 net;
	uint64_t	 num;
	struct str	 str;		/* own, malloc */
	pcre2_code	*re;		/* own */
};
_Static_assert(EXPR_NODES < UINT8_MAX && ACCESS_N < UINT8_MAX, "node");

struct expr {
	unsigned		 n;
	unsigned		 root;
	pcre2_match_data	*data;	/* own */
	pcre2_match_context	*limits; /* own */
	struct node		 node[EXPR_NODES + 1];
};

/* --- words --- */

struct reader {
	struct expr	*x;
	struct str	 text;
	size_t		 at;
	size_t		 bad;		/* where the error is */
	struct err	*e;
	char		*word;		/* own: of EXPR_MAX bytes */
};

static unsigned
fail_at(struct reader *r, size_t at, const char *why)
{
	r->bad = at;
	err_set(r->e, "%s", why);
	return 0;
}

static void
skip_blanks(struct reader *r)
{
	while (r->at < r->text.n && (r->text.p[r->at] == ' ' ||
	    r->text.p[r->at] == '\t'))
		r->at++;
}

static bool
is_end(char c)
{
	return memchr(WORD_ENDS, c, sizeof(WORD_ENDS) - 1) != NULL;
}

/* The word that stands here, not taken; "" if none does. */
static struct str
peek_word(struct reader *r)
{
	size_t	to;

	skip_blanks(r);
	for (to = r->at; to < r->text.n && !is_end(r->text.p[to]); to++)
		;
	return str_sub(r->text, r->at, to);
}

static bool
take_word(struct reader *r, const char *word)
{
	struct str	w = peek_word(r);

	if (!str_eq_fold(w, str_from(word)))
		return false;
	r->at += w.n;
	return true;
}

static bool
take_char(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->at == r->text.n || r->text.p[r->at] != c)
		return false;
	r->at++;
	return true;
}

/* What stands between two quotes; the first one is taken already. */
static bool
take_quoted(struct reader *r, struct str *out)
{
	size_t	from = r->at - 1, n = 0;
	char	c;

	while (r->at < r->text.n) {
		c = r->text.p[r->at++];
		if (c == '"') {
			*out = str_make(r->word, n);
			return true;
		}
		if (c == '\\' && r->at < r->text.n &&
		    (r->text.p[r->at] == '"' || r->text.p[r->at] == '\\'))
			c = r->text.p[r->at++];
		r->word[n++] = c;
	}
	fail_at(r, from, "the quote is not closed");
	return false;
}

/* A value: quoted, or all up to a blank or a closing parenthesis. */
static bool
take_value(struct reader *r, struct str *out)
{
	size_t	from;

	if (take_char(r, '"'))
		return take_quoted(r, out);
	from = r->at;
	while (r->at < r->text.n && r->text.p[r->at] != ' ' &&
	    r->text.p[r->at] != '\t' && r->text.p[r->at] != ')')
		r->at++;
	*out = str_sub(r->text, from, r->at);
	if (out->n > 0)
		return true;
	fail_at(r, from, "a value is missing");
	return false;
}

static bool
take_op(struct reader *r, enum op *op)
{
	if (take_char(r, '='))
		*op = OP_EQ;
	else if (take_char(r, '~'))
		*op = OP_RE;
	else if (take_char(r, '<'))
		*op = take_char(r, '=') ? OP_LE : OP_LT;
	else if (take_char(r, '>'))
		*op = take_char(r, '=') ? OP_GE : OP_GT;
	else if (take_char(r, '!') && r->at < r->text.n &&
	    r->text.p[r->at] == '=') {
		r->at++;
		*op = OP_NE;
	} else
		return false;
	return true;
}

/* --- values --- */

struct unit {
	const char	*name;
	uint64_t	 worth;
};

static const struct unit	times[] = {
	{ "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 },
	{ NULL, 0 }
};
static const struct unit	sizes[] = {
	{ "k", 1 << 10 }, { "m", 1 << 20 }, { "g", 1 << 30 }, { NULL, 0 }
};

/* Units of a number, by the name of its field; NULL: it has none. */
static const struct unit *
units_of(unsigned field)
{
	struct str	name = str_from(access_rows[field].name);

	if (str_ends(name, STR("_us")))
		return times;
	return str_starts(name, STR("bytes_")) ? sizes : NULL;
}

static bool
read_number(struct node *n, struct str s)
{
	const struct unit	*u = units_of(n->field);
	size_t			 digits = 0;
	uint64_t		 worth = 1;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	if (digits < s.n) {
		while (u != NULL && u->name != NULL && !str_eq_fold(
		    str_sub(s, digits, s.n), str_from(u->name)))
			u++;
		if (u == NULL || u->name == NULL)
			return false;
		worth = u->worth;
	}
	if (str_to_u64(str_sub(s, 0, digits), UINT64_MAX / worth,
	    &n->num) == -1)
		return false;
	n->num *= worth;
	return true;
}

static bool
read_regex(struct reader *r, struct node *n, struct str s, size_t at)
{
	PCRE2_SIZE	off;
	char		why[200];
	int		rc;

	n->re = pcre2_compile((PCRE2_SPTR)s.p, s.n, PCRE2_NEVER_BACKSLASH_C,
	    &rc, &off, NULL);
	if (n->re != NULL) {
		(void)pcre2_jit_compile(n->re, PCRE2_JIT_COMPLETE);
		return true;
	}
	pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof(why));
	fail_at(r, at, why);
	return false;
}

/* Reads the value of a comparison for the type of its field. */
static bool
set_value(struct reader *r, struct node *n, struct str s, size_t at)
{
	enum access_type	type = access_rows[n->field].type;
	const char		*why;

	if (n->op == OP_RE && type != ACCESS_NUM_T)
		return read_regex(r, n, s, at);
	if (type == ACCESS_NUM_T) {
		if (n->op != OP_RE && read_number(n, s))
			return true;
		fail_at(r, at, n->op == OP_RE ?
		    "a number has no regular expression" :
		    units_of(n->field) == times ?
		    "this is not a time such as 250us, 20ms or 1s" :
		    "this is not a number");
		return false;
	}
	if (type != ACCESS_TIME_T && n->op > OP_NE) {
		fail_at(r, at, "only numbers and times are less or more; "
		    "use =, != or ~");
		return false;
	}
	why = type == ACCESS_IP_T ? net_parse(s, &n->net) : NULL;
	if (why != NULL) {
		fail_at(r, at, why);
		return false;
	}
	n->str = str_make(must_calloc(1, s.n + 1), s.n);
	memcpy((char *)(uintptr_t)n->str.p, s.p, s.n);
	return true;
}

/* --- the grammar --- */

static unsigned read_or(struct reader *, unsigned depth);

/* 0 if there are too many. */
static unsigned
new_node(struct reader *r, enum kind kind, unsigned left, unsigned right)
{
	struct node	*n;

	if (r->x->n == EXPR_NODES)
		return fail_at(r, r->at, "the expression is too long");
	n = &r->x->node[++r->x->n];
	n->kind = (uint8_t)kind;
	n->left = (uint8_t)left;
	n->right = (uint8_t)right;
	return r->x->n;
}

static unsigned
read_compare(struct reader *r)
{
	struct str	 name = peek_word(r), value;
	struct node	*n;
	unsigned	 i, field;
	enum op		 op;
	size_t		 at = r->at;

	if (name.n == 0)
		return fail_at(r, at, "a field is missing");
	for (field = 0; field < ACCESS_N; field++)
		if (str_eq(name, str_from(access_rows[field].name)))
			break;
	if (field == ACCESS_N)
		return fail_at(r, at, "there is no such field");
	r->at += name.n;
	skip_blanks(r);
	at = r->at;
	if (!take_op(r, &op))
		return fail_at(r, at, "one of = != < <= > >= ~ is missing");
	skip_blanks(r);
	at = r->at;
	if (!take_value(r, &value) ||
	    (i = new_node(r, KIND_COMPARE, 0, 0)) == 0)
		return 0;
	n = &r->x->node[i];
	n->field = (uint8_t)field;
	n->op = (uint8_t)op;
	return set_value(r, n, value, at) ? i : 0;
}

static unsigned
read_not(struct reader *r, unsigned depth)
{
	size_t		from;
	unsigned	i;

	if (depth > EXPR_NODES)
		return fail_at(r, r->at, "this is nested too deeply");
	if (take_word(r, "not")) {
		i = read_not(r, depth + 1);
		return i == 0 ? 0 : new_node(r, KIND_NOT, i, 0);
	}
	if (!take_char(r, '('))
		return read_compare(r);
	from = r->at - 1;
	i = read_or(r, depth + 1);
	if (i != 0 && !take_char(r, ')'))
		return fail_at(r, from, "the parenthesis is not closed");
	return i;
}

static unsigned
read_and(struct reader *r, unsigned depth)
{
	unsigned	left = read_not(r, depth), right;

	while (left != 0 && take_word(r, "and")) {
		right = read_not(r, depth);
		left = right == 0 ? 0 : new_node(r, KIND_AND, left, right);
	}
	return left;
}

static unsigned
read_or(struct reader *r, unsigned depth)
{
	unsigned	left = read_and(r, depth), right;

	while (left != 0 && take_word(r, "or")) {
		right = read_and(r, depth);
		left = right == 0 ? 0 : new_node(r, KIND_OR, left, right);
	}
	return left;
}

static bool
read_all(struct reader *r)
{
	skip_blanks(r);
	if (r->text.n > EXPR_MAX) {
		fail_at(r, EXPR_MAX, "the expression is too long");
		return false;
	}
	if (r->at == r->text.n)
		return true;
	r->x->root = read_or(r, 0);
	if (r->x->root == 0)
		return false;
	skip_blanks(r);
	if (r->at < r->text.n)
		fail_at(r, r->at, "\"and\" or \"or\" is missing");
	return r->at == r->text.n;
}

struct expr *
expr_new(struct str text, size_t *at, struct err *e)
{
	struct reader	r = { .text = text, .e = e };
	bool		ok;

	r.x = must_calloc(1, sizeof(*r.x));
	r.word = must_calloc(1, EXPR_MAX);
	r.x->data = pcre2_match_data_create(1, NULL);
	r.x->limits = pcre2_match_context_create(NULL);
	must(r.x->data != NULL && r.x->limits != NULL);
	pcre2_set_match_limit(r.x->limits, MATCH_LIMIT);
	ok = read_all(&r);
	free(r.word);
	*at = r.bad;
	if (!ok)
		expr_free(&r.x);
	return r.x;
}

void
expr_free(struct expr **xp)
{
	struct expr	*x = *xp;

	*xp = NULL;
	if (x == NULL)
		return;
	for (unsigned i = 1; i <= x->n; i++) {
		free((char *)(uintptr_t)x->node[i].str.p);
		pcre2_code_free(x->node[i].re);
	}
	pcre2_match_data_free(x->data);
	pcre2_match_context_free(x->limits);
	free(x);
}

/* --- matching --- */

static bool
is_so(enum op op, int cmp)
{
	switch (op) {
	case OP_EQ:
		return cmp == 0;
	case OP_NE:
		return cmp != 0;
	case OP_LT:
		return cmp < 0;
	case OP_LE:
		return cmp <= 0;
	case OP_GT:
		return cmp > 0;
	case OP_GE:
		return cmp >= 0;
	case OP_RE:
		break;
	}
	return false;
}

static bool
matches_text(const struct expr *x, const struct node *n, struct str s)
{
	if (n->op != OP_RE)
		return is_so((enum op)n->op, str_cmp(s, n->str));
	return pcre2_match(n->re, (PCRE2_SPTR)(s.n > 0 ? s.p : ""), s.n, 0, 0,
	    x->data, x->limits) >= 0;
}

static bool
compare(const struct expr *x, const struct node *n, const struct access *a)
{
	struct text	t;
	uint64_t	num = a->num[n->field];
	char		buf[128];

	switch (access_rows[n->field].type) {
	case ACCESS_NUM_T:
		if (n->field == ACCESS_CLIENT_PORT && num == 0)
			num = a->peer.port;
		return is_so((enum op)n->op, (num > n->num) - (num < n->num));
	case ACCESS_STR_T:
		return matches_text(x, n, a->str[n->field]);
	case ACCESS_TIME_T:
		date_iso(num, buf);
		return matches_text(x, n, str_make(buf, DATE_ISO_LEN));
	case ACCESS_IP_T:
		if (n->op != OP_RE)
			return net_has(&n->net, &a->peer) == (n->op == OP_EQ);
		text_init_fixed(&t, buf, sizeof(buf));
		sock_peer_text(&t, &a->peer);
		return matches_text(x, n, text_str(&t));
	}
	return false;
}

static bool
walk(const struct expr *x, unsigned i, const struct access *a)
{
	const struct node	*n = &x->node[i];

	switch ((enum kind)n->kind) {
	case KIND_AND:
		return walk(x, n->left, a) && walk(x, n->right, a);
	case KIND_OR:
		return walk(x, n->left, a) || walk(x, n->right, a);
	case KIND_NOT:
		return !walk(x, n->left, a);
	case KIND_COMPARE:
		break;
	}
	return compare(x, n, a);
}

bool
expr_match(const struct expr *x, const struct access *a)
{
	return x->root == 0 || walk(x, x->root, a);
}
