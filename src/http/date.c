/*
 * HTTP dates (RFC 9110 5.6.7).  All processes; pure.
 *
 * No libc calendar: it knows locales and zones, and takes locks.  Days
 * are counted in the proleptic Gregorian calendar from 1 March of year 0,
 * so that a leap day is the last of its year.  What is out of the years
 * 1 to 9999 (files may claim any time) is written as the nearest of them.
 */
#include "http/date.h"

#include "base/put.h"

#define DAY		86400
#define TIME_MIN	(-62135596800LL)	/* 0001-01-01 00:00:00 */
#define TIME_MAX	253402300799LL		/* 9999-12-31 23:59:59 */

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const struct str long_days[7] = {
	STR_INIT("Sunday"), STR_INIT("Monday"), STR_INIT("Tuesday"),
	STR_INIT("Wednesday"), STR_INIT("Thursday"), STR_INIT("Friday"),
	STR_INIT("Saturday")
};

struct parts {
	int	year;
	int	mon;		/* 0 to 11 */
	int	day;		/* of the month, from 1 */
	int	wday;		/* 0: Sunday */
	int	hour;
	int	min;
	int	sec;
};

/* Days since 1970-01-01; 719468 lie before it since 0000-03-01. */
static int64_t
count_days(int year, int mon, int day)
{
	int	y = mon < 2 ? year - 1 : year;
	int	m = mon < 2 ? mon + 10 : mon - 2;	/* from March */
	int	era = y / 400;
	int	yoe = y % 400;

	return era * 146097LL + yoe * 365 + yoe / 4 - yoe / 100 +
	    (153 * m + 2) / 5 + day - 1 - 719468;
}

static void
split(int64_t t, struct parts *d)
{
	int64_t	n;
	int	doe;
	int	yoe;
	int	doy;
	int	m;
	int	rest;

	if (t < TIME_MIN)
		t = TIME_MIN;
	if (t > TIME_MAX)
		t = TIME_MAX;
	t -= TIME_MIN;			/* not negative from here on */
	rest = (int)(t % DAY);
	n = t / DAY + 306;		/* days since 0000-03-01 */
	d->wday = (int)((n + 3) % 7);
	doe = (int)(n % 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	m = (5 * doy + 2) / 153;
	d->day = doy - (153 * m + 2) / 5 + 1;
	d->mon = m < 10 ? m + 2 : m - 10;
	d->year = (int)(n / 146097) * 400 + yoe + (d->mon < 2);
	d->hour = rest / 3600;
	d->min = rest / 60 % 60;
	d->sec = rest % 60;
}

static char *
put_name(char *p, const char *names, int i)
{
	memcpy(p, names + i * 3, 3);
	return p + 3;
}

static char *
put_time(char *p, const struct parts *d)
{
	p = put_two(p, (unsigned)d->hour);
	p = put_two(put_c(p, ':'), (unsigned)d->min);
	return put_two(put_c(p, ':'), (unsigned)d->sec);
}

void
date_format(int64_t seconds, char *out)
{
	struct parts	 d;
	char		*p = out;

	split(seconds, &d);
	p = put_name(p, days, d.wday);
	p = put_two(put_str(p, STR(", ")), (unsigned)d.day);
	p = put_name(put_c(p, ' '), months, d.mon);
	p = put_four(put_c(p, ' '), (unsigned)d.year);
	p = put_time(put_c(p, ' '), &d);
	put_str(p, STR(" GMT"));
}

void
date_clf(uint64_t seconds, char *out)
{
	struct parts	 d;
	char		*p = out;

	split(seconds > TIME_MAX ? TIME_MAX : (int64_t)seconds, &d);
	p = put_two(put_c(p, '['), (unsigned)d.day);
	p = put_name(put_c(p, '/'), months, d.mon);
	p = put_four(put_c(p, '/'), (unsigned)d.year);
	p = put_time(put_c(p, ':'), &d);
	put_str(p, STR(" +0000]"));
}

void
date_iso(uint64_t ms, char *out)
{
	struct parts	 d;
	char		*p = out;

	if (ms > TIME_MAX * 1000ULL + 999)
		ms = TIME_MAX * 1000ULL + 999;
	split((int64_t)(ms / 1000), &d);
	p = put_four(p, (unsigned)d.year);
	p = put_two(put_c(p, '-'), (unsigned)d.mon + 1);
	p = put_two(put_c(p, '-'), (unsigned)d.day);
	p = put_time(put_c(p, 'T'), &d);
	p = put_c(put_c(p, '.'), (char)('0' + ms % 1000 / 100));
	put_c(put_two(p, (unsigned)(ms % 100)), 'Z');
}

/* Each take_ cuts its piece off the front of *s, or answers false. */
static bool
take_text(struct str *s, struct str what)
{
	if (!str_starts(*s, what))
		return false;
	*s = str_sub(*s, what.n, s->n);
	return true;
}

static bool
take_number(struct str *s, size_t width, int max, int *out)
{
	uint64_t	v;

	if (s->n < width ||
	    str_to_u64(str_make(s->p, width), (uint64_t)max, &v) < 0)
		return false;
	*s = str_sub(*s, width, s->n);
	*out = (int)v;
	return true;
}

/* One of n names of three letters each. */
static bool
take_name(struct str *s, const char *names, int n, int *out)
{
	int	i;

	for (i = 0; i < n; i++)
		if (take_text(s, str_make(names + i * 3, 3))) {
			*out = i;
			return true;
		}
	return false;
}

static bool
take_time(struct str *s, struct parts *d)
{
	return take_number(s, 2, 23, &d->hour) && take_text(s, STR(":")) &&
	    take_number(s, 2, 59, &d->min) && take_text(s, STR(":")) &&
	    take_number(s, 2, 60, &d->sec);
}

/* " Nov 6 08:49:37 1994" after the name of the day; the day may be " 6". */
static bool
take_asctime(struct str *s, struct parts *d)
{
	if (!take_text(s, STR(" ")) ||
	    !take_name(s, months, 12, &d->mon) || !take_text(s, STR(" ")))
		return false;
	if (!(take_text(s, STR(" ")) ? take_number(s, 1, 9, &d->day) :
	    take_number(s, 2, 31, &d->day)))
		return false;
	return take_text(s, STR(" ")) && take_time(s, d) &&
	    take_text(s, STR(" ")) && take_number(s, 4, 9999, &d->year);
}

/* ", 06 Nov 1994 08:49:37 GMT" after the name of the day. */
static bool
take_fixdate(struct str *s, struct parts *d)
{
	return take_text(s, STR(", ")) &&
	    take_number(s, 2, 31, &d->day) && take_text(s, STR(" ")) &&
	    take_name(s, months, 12, &d->mon) && take_text(s, STR(" ")) &&
	    take_number(s, 4, 9999, &d->year) && take_text(s, STR(" ")) &&
	    take_time(s, d) && take_text(s, STR(" GMT"));
}

/*
 * ", 06-Nov-94 08:49:37 GMT" after the long name of the day.  A year that
 * seems more than 50 years ahead is the last past one with these digits.
 */
static bool
take_rfc850(struct str *s, int64_t now, struct parts *d)
{
	struct parts	today;

	if (!take_text(s, STR(", ")) || !take_number(s, 2, 31, &d->day) ||
	    !take_text(s, STR("-")) || !take_name(s, months, 12, &d->mon) ||
	    !take_text(s, STR("-")) || !take_number(s, 2, 99, &d->year) ||
	    !take_text(s, STR(" ")) || !take_time(s, d) ||
	    !take_text(s, STR(" GMT")))
		return false;
	split(now, &today);
	d->year += today.year - today.year % 100;
	if (d->year > today.year + 50)
		d->year -= 100;
	return true;
}

static bool
take_date(struct str *s, int64_t now, struct parts *d)
{
	int	i;

	for (i = 0; i < 7; i++)
		if (take_text(s, long_days[i]))
			return take_rfc850(s, now, d);
	if (!take_name(s, days, 7, &d->wday))
		return false;
	return s->n > 0 && s->p[0] == ',' ? take_fixdate(s, d) :
	    take_asctime(s, d);
}

static bool
is_day_of(const struct parts *d)
{
	static const uint8_t	len[12] = {
		31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};
	bool	leap = (d->year % 4 == 0 && d->year % 100 != 0) ||
		    d->year % 400 == 0;

	return d->day >= 1 && d->year >= 1 &&
	    d->day <= len[d->mon] + (leap && d->mon == 1);
}

int
date_parse(struct str s, int64_t now, int64_t *seconds)
{
	struct parts	d = { 0 };

	if (!take_date(&s, now, &d) || s.n != 0 || !is_day_of(&d))
		return -1;
	*seconds = count_days(d.year, d.mon, d.day) * DAY +
	    d.hour * 3600 + d.min * 60 + d.sec;
	return 0;
}
