/*
 * Values: words to numbers, with every overflow refused.  Pure; used when
 * a configuration is loaded and where tools read the same words.
 */
#include "base/err.h"
#include "base/must.h"
#include "conf/int.h"

#define SHOWN	60	/* bytes of a value that a message quotes */
#define QUOTE(s)	(int)((s).n < SHOWN ? (s).n : SHOWN), (s).p

/* a unit word and what it is worth */
struct factor {
	const char	*word;
	uint64_t	 by;
};

static const struct factor sizes[] = {
	{ "k", 1024 }, { "m", 1024 * 1024 }, { "g", 1024 * 1024 * 1024 },
	{ NULL, 0 }
};

static const struct factor times[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 }, { "d", 24 * 60 * 60 * 1000 }, { NULL, 0 }
};

/* What a bare number of a unit is worth; 0: it needs a word. */
static const uint64_t bare_size[] = {
	[CONF_COUNT] = 1, [CONF_BYTES] = 1, [CONF_MS] = 0, [CONF_SECONDS] = 0,
	[CONF_MEGABYTES] = 1024 * 1024, [CONF_DAYS] = 0, [CONF_PERCENT] = 0
};

static const uint64_t bare_time[] = {
	[CONF_COUNT] = 0, [CONF_BYTES] = 0, [CONF_MS] = 1,
	[CONF_SECONDS] = 1000, [CONF_MEGABYTES] = 0,
	[CONF_DAYS] = 24 * 60 * 60 * 1000, [CONF_PERCENT] = 0
};

const char *
value_unit(enum conf_unit unit)
{
	static const char *const	names[] = {
		[CONF_COUNT] = "", [CONF_BYTES] = "bytes", [CONF_MS] = "ms",
		[CONF_SECONDS] = "s", [CONF_MEGABYTES] = "m",
		[CONF_DAYS] = "d", [CONF_PERCENT] = "%"
	};

	must((size_t)unit < sizeof(names) / sizeof(names[0]));
	return names[unit];
}

int
conf_val_bool(struct str s, bool *out, struct err *e)
{
	if (str_eq(s, STR("on")) || str_eq(s, STR("true")))
		*out = true;
	else if (str_eq(s, STR("off")) || str_eq(s, STR("false")))
		*out = false;
	else
		return err_set(e, "\"%.*s\" is neither on nor off", QUOTE(s));
	return 0;
}

int
conf_val_int(struct str s, int64_t min, int64_t max, int64_t *out,
    struct err *e)
{
	bool		minus = s.n > 0 && s.p[0] == '-';
	uint64_t	u;
	int64_t		v;

	if (str_to_u64(minus ? str_sub(s, 1, s.n) : s, INT64_MAX, &u) != 0)
		return err_set(e, "\"%.*s\" is not a whole number", QUOTE(s));
	v = minus ? -(int64_t)u : (int64_t)u;
	if (v < min)
		return err_set(e, "%lld is less than %lld", (long long)v,
		    (long long)min);
	if (max != 0 && v > max)
		return err_set(e, "%lld is more than %lld", (long long)v,
		    (long long)max);
	*out = v;
	return 0;
}

/* Digits and a unit word; what is no number says so with `what`. */
static int
read_scaled(struct str s, const struct factor *f, uint64_t bare,
    uint64_t *out, struct err *e)
{
	const char	*what = f == sizes ? "size" : "time";
	size_t		 n = 0;
	uint64_t	 v;
	struct str	 word;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	word = str_sub(s, n, s.n);
	while (f->word != NULL && !str_eq(word, str_from(f->word)))
		f++;
	if (n == 0 || (word.n > 0 && f->word == NULL))
		return err_set(e, "\"%.*s\" is not a %s", QUOTE(s), what);
	if (str_to_u64(str_sub(s, 0, n), UINT64_MAX, &v) != 0)
		return err_set(e, "\"%.*s\" is too large", QUOTE(s));
	if (word.n > 0)
		bare = f->by;
	if (bare == 0 && v != 0)
		return err_set(e, "\"%.*s\" has no unit", QUOTE(s));
	/* Half of the range, so that sums of two never wrap. */
	if (bare != 0 && v > (uint64_t)INT64_MAX / bare)
		return err_set(e, "\"%.*s\" is too large", QUOTE(s));
	*out = v * bare;
	return 0;
}

int
conf_val_size(struct str s, enum conf_unit unit, uint64_t *out,
    struct err *e)
{
	must((size_t)unit < sizeof(bare_size) / sizeof(bare_size[0]));
	return read_scaled(s, sizes, bare_size[unit], out, e);
}

int
conf_val_time(struct str s, enum conf_unit unit, uint64_t *out,
    struct err *e)
{
	must((size_t)unit < sizeof(bare_time) / sizeof(bare_time[0]));
	return read_scaled(s, times, bare_time[unit], out, e);
}

/* The n-th part of list between bytes sep; false past the end. */
static bool
find_part(struct str list, char sep, size_t n, struct str *part)
{
	size_t		from = 0;
	ptrdiff_t	at;

	for (;;) {
		at = str_find(list, sep, from);
		if (n-- == 0)
			break;
		if (at < 0)
			return false;
		from = (size_t)at + 1;
	}
	*part = str_sub(list, from, at < 0 ? list.n : (size_t)at);
	return true;
}

bool
value_choice(const char *choices, size_t n, struct str *word)
{
	struct str	part;

	if (!find_part(str_from(choices), '|', n, &part))
		return false;
	return find_part(part, ',', 0, word);
}

int
conf_val_enum(struct str s, const char *choices, int *out, struct err *e)
{
	struct str	part;
	struct str	word;
	size_t		i;
	size_t		j;

	for (i = 0; find_part(str_from(choices), '|', i, &part); i++) {
		for (j = 0; find_part(part, ',', j, &word); j++)
			if (str_eq(s, word)) {
				*out = (int)i;
				return 0;
			}
	}
	return err_set(e, "\"%.*s\" is none of the words known here",
	    QUOTE(s));
}
