/*
 * sluicectl server: its words, and what became of it.  sluicectl.
 */
#include "cli/server.h"

#include <stdio.h>
#include <string.h>

#include "cli/int.h"

static int
wrong(const char *what, const char *word)
{
	fprintf(stderr, "sluicectl: server: %s \"%s\": see sluicectl help\n",
	    what, word);
	return 2;
}

static void
add_word(struct text *t, char sep, const char *name, const char *val)
{
	text_fmt(t, "%c%s=", sep, name);
	for (; *val != '\0'; val++)
		text_fmt(t, "%%%02X", (unsigned char)*val);
}

int
server_read(char *const *words, size_t n, struct text *target,
    json_t **answer)
{
	static const char *const	orders[] = { "drain", "up", "down",
	    "weight", NULL };
	size_t				i = 0, want;

	*answer = NULL;
	while (n > 0 && orders[i] != NULL && strcmp(words[0], orders[i]) != 0)
		i++;
	if (n == 0 || orders[i] == NULL)
		return wrong("it takes drain, up, down or weight, not",
		    n == 0 ? "" : words[0]);
	want = orders[i + 1] == NULL ? 4 : 3;
	if (n < want)
		return wrong(n == 3 ? "there is no number behind" :
		    "an UPSTREAM and a SERVER belong behind", words[n - 1]);
	if (n > want)
		return wrong("there is a word too many:", words[want]);
	for (i = 1; i < n; i++)
		if (strlen(words[i]) > 256)
			return wrong("this is no name:", words[i]);
	add_word(target, '?', "upstream", words[1]);
	add_word(target, '&', "server", words[2]);
	add_word(target, '&', "do", words[0]);
	if (want == 4)
		add_word(target, '&', "weight", words[3]);
	return 0;
}

void
show_server(struct show *s, const json_t *j)
{
	struct str		state = show_str(j, "state");
	struct str		why = show_str(j, "why");
	unsigned long long	n = show_num(j, "active");
	bool			good;

	good = str_eq(state, STR("up")) || str_eq(state, STR("slow_start"));
	show_safe(s, j, "server");
	text_add(&s->out, STR(" of "));
	show_safe(s, j, "upstream");
	text_add(&s->out, STR(": "));
	show_paint(s, good ? SHOW_GOOD : SHOW_BAD, state);
	if (why.n > 0) {
		text_add(&s->out, STR(" ("));
		show_safe(s, j, "why");
		text_c(&s->out, ')');
	}
	if (json_is_integer(json_object_get(j, "override")))
		text_fmt(&s->out, ", weight %llu in place of %llu",
		    show_num(j, "override"), show_num(j, "weight"));
	else
		text_fmt(&s->out, ", weight %llu", show_num(j, "weight"));
	text_fmt(&s->out, ", %llu request%s under way\n", n,
	    n == 1 ? "" : "s");
}
