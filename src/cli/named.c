/*
 * Commands that take a name.  sluicectl.
 */
#include "cli/named.h"

#include <stdio.h>
#include <string.h>

#include "control/api.h"

int
named_read(char *const *words, size_t n, struct text *target,
    json_t **answer)
{
	const char *p;

	*answer = NULL;
	if (n == 0)
		return 0;
	if (n > 1 || words[0][0] == '-' || strlen(words[0]) > 255) {
		fprintf(stderr, "sluicectl: the command takes one name, not "
		    "\"%s\": see sluicectl help\n", words[n - 1]);
		return 2;
	}
	text_add(target, STR("?name="));
	for (p = words[0]; *p != '\0'; p++)
		text_fmt(target, "%%%02X", (unsigned char)*p);
	return 0;
}

json_t *
named_failures(char *const *words, size_t n)
{
	json_t *all = json_array();
	unsigned i;

	for (i = FAIL_NONE + 1; i < FAIL_N; i++)
		if (n == 0 || fail_is((enum fail)i, str_from(words[0])))
			json_array_append_new(all,
			    api_failure_row((enum fail)i));
	if (json_array_size(all) > 0)
		return json_pack("{s:i, s:o}", "v", 1, "failures", all);
	json_decref(all);
	return NULL;
}
