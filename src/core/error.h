/*
 * error_page.STATUS of [sluice] and of routes: what is sent in place of
 * the built-in error pages.  The builder reads the files and cuts them at
 * their variables; workers join the parts (error.c).
 */
#ifndef SL_CORE_ERROR_H
#define SL_CORE_ERROR_H

#include "conf/conf.h"

enum error_var {
	ERROR_VAR_NONE, ERROR_VAR_STATUS, ERROR_VAR_REASON, ERROR_VAR_FAIL,
	ERROR_VAR_ID, ERROR_VAR_HOST
};

/* how the values of variables are written */
enum error_form { ERROR_PLAIN, ERROR_MARKUP, ERROR_JSON };

/* a text and the variable behind it */
struct error_part {
	struct str		text;
	enum error_var		var;
};

struct error_page {
	uint64_t		 status;	/* 404; or 4, 5: 4xx, 5xx */
	struct str		 type;		/* Content-Type */
	enum error_form		 form;
	const struct error_part	*v;		/* of conf */
	size_t			 n;
};

struct error_pages {
	const struct error_page	*v;		/* of conf */
	size_t			 n;
};

/* keys of [route]; its part is a struct error_pages */
extern const struct conf_group error_group;

/*
 * The page that an item names, for this status; of the load's arena.  NULL
 * after a diagnostic.
 */
const struct error_page *error_read_page(struct conf_load *,
    const struct conf_item *, unsigned status);

/* conf_parse_fn of error_page.*, into a struct error_pages. */
int error_parse_pages(struct conf_load *, const struct conf_row *, void *,
    const struct conf_item *, size_t);

#endif
