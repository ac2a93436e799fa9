/*
 * The singleton sections that belong to no other module: [sluice],
 * [limits], [log], [board], [health], [admin].
 */
#ifndef SL_CORE_SETTINGS_H
#define SL_CORE_SETTINGS_H

#include "base/err.h"
#include "conf/conf.h"
#include "core/error.h"
#include "core/client.h"
#include "core/trust.h"
#include "os/log.h"

#define MATCH_SPECIFIC	0
#define MATCH_FIRST	1

/* [sluice] proxy_status */
enum { STATUS_OFF, STATUS_ON, STATUS_FULL };

/* [log] output_mode */
enum { LOG_TO_BOTH, LOG_TO_FILE, LOG_TO_CONSOLE };

/* [sluice] */
struct settings {
	struct conf_obj	obj;
	uint64_t	workers;	/* 0: auto */
	struct str	user;
	struct str	run_dir;
	struct str	state_dir;
	struct conf_list include;	/* read by the reader */
	int		match;		/* MATCH_ */
	int		proxy_status;	/* STATUS_ */
	struct trust	trusted;	/* trusted_proxies */
	int		client_field;	/* enum client_field */
	struct str	resolver;	/* "IP:PORT,.."; "": resolv.conf's */
	uint64_t	drain_delay;	/* ms */
	uint64_t	drain_timeout;
	uint64_t	drain_streams;
	uint64_t	stop;
	bool		core_dumps;
	struct error_pages error_pages;
};
extern const struct conf_section settings_section;

/* [limits]: of requests and connections; listeners merge them in */
struct settings_limits {
	struct conf_obj	obj;
	uint64_t	header_bytes;
	uint64_t	header_field;
	int64_t		header_count;
	uint64_t	target;
	uint64_t	body;
	uint64_t	buffers;	/* of a worker */
	int64_t		requests;	/* requests_per_connection */
	uint64_t	age;		/* connection_age, ms */
};
extern const struct conf_section limits_section;

/* the last one of a module holds */
struct settings_level {
	struct str	module;
	int		level;		/* enum log_level */
};

struct settings_levels {
	const struct settings_level *v;
	size_t			 n;
};

/* [log] */
struct settings_log {
	struct conf_obj	obj;
	bool		access;
	bool		ids;		/* enable_request_ids */
	int		level;		/* enum log_level */
	struct settings_levels levels;	/* level.MODULE */
	struct str	directory;
	struct str	pattern;
	int		rotation;	/* both, size, time, none */
	int64_t		file_size;	/* MiB */
	uint64_t	retention;	/* ms */
	int64_t		max_rotated;
	bool		compress;
	int		output_mode;	/* LOG_TO_ */
	int		overflow;	/* drop, block */
};
extern const struct conf_section log_section;

/* [board] */
struct settings_board {
	struct conf_obj	obj;
	uint64_t	max;
};
extern const struct conf_section board_section;

/* The singletons of a generation. */
const struct settings *settings_get(const struct conf *);
const struct settings_limits *settings_limits(const struct conf *);
const struct settings_log *settings_log(const struct conf *);
/* [log] directory, or STATE_DIR/log, as a C string of size bytes. */
int settings_log_dir(const struct conf *, char *dir, size_t size,
    struct err *);

/* Builder: level.MODULE names modules and levels that there are. */
int settings_parse_levels(struct conf_load *, const struct conf_row *,
    void *dst, const struct conf_item *, size_t n);
/* Builder: [sluice] resolver, as resolver_new takes it. */
int settings_parse_resolver(struct conf_load *, const struct conf_row *,
    void *dst, const struct conf_item *, size_t n);
/* The levels of a generation, for a process's log. */
void settings_set_levels(const struct conf *, struct log *);

/*
 * Workers that should run: the key, or min(affinity, cgroup quota rounded
 * up); at least 1.
 */
unsigned settings_workers(const struct conf *);

#endif
