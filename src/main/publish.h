/*
 * Publishing a generation: build, check, prepare, commit.  Master; the
 * payloads of its frames are read by the children.
 */
#ifndef SL_MAIN_PUBLISH_H
#define SL_MAIN_PUBLISH_H

#include "base/text.h"
#include "conf/diag.h"
#include "conf/gen.h"
#include "main/child.h"

/* ids of reload requests that control waits for */
struct publish_askers {
	uint64_t		 id[32];
	unsigned		 n;
};

/* payload of CHAN_PREPARE, and of CHAN_PREPARED up to the reason */
struct prepare {
	uint64_t		 number;
	uint32_t		 slot;
	uint32_t		 refused;
};

/* payload of CHAN_REPORT, followed by why, text and JSON */
struct report {
	uint64_t		 generation;	/* that is live now */
	int32_t			 code;		/* EXIT_OK: done */
	uint32_t		 why_n;
	uint32_t		 text_n;
	uint32_t		 json_n;
};

/* reload: at most one at a time, one more may wait */
enum publish_step {
	PUBLISH_IDLE, PUBLISH_BUILD, PUBLISH_PREPARE, PUBLISH_COMMIT
};
struct publish {
	enum publish_step	 step;
	bool			 again:1;	/* asked for meanwhile */
	bool			 patient:1;	/* of certwatch: a pair that
						 * does not match may wait */
	unsigned		 slot;		/* of the new generation */
	uint64_t		 number;
	struct gen		*gen;		/* of master.gens */
	int			 fd;		/* own: its file */
	int			 keys_fd[GEN_NKEYS]; /* own: its keys */
	unsigned		 pending;	/* answers awaited */
	bool			 refused:1;
	uint64_t		 begun_ms;
	struct timer		 deadline;
	/* builder */
	pid_t			 pid;
	struct chan		 chan;
	bool			 answered:1;
	/* outcome */
	int			 exit_code;
	uint32_t		 warnings;
	bool			 unpaired:1;	/* a key of another chain */
	char			 why[512];
	struct text		 diags;		/* text for people */
	struct text		 json;		/* the same for programs */
	struct publish_askers	 now;
	struct publish_askers	 later;
};

/* a plan: a builder that says what a reload would change */
struct plan_run {
	bool			 inside:1;	/* in that builder */
	bool			 answered:1;
	uint64_t		 asker;		/* 0: none is under way */
	pid_t			 pid;
	struct chan		 chan;
	struct timer		 deadline;
	int			 fd;		/* own: what it wrote */
	int			 exit_code;
	struct text		 diags;
	struct text		 json;
};

/* what a builder answered; slices of the frame */
struct build_answer {
	int			 exit_code;
	uint32_t		 warnings;
	bool			 unpaired;
	struct str		 text;
	struct str		 json;
};

/* --- build.c --- */
/* A builder with the other end of *fd; its pid, or 0. */
pid_t build_fork(struct master *, bool plan, int *fd, struct err *);
/* False if the frame is no builder's answer. */
bool build_read(const struct frame *, struct build_answer *);
int build_start(struct master *, struct err *);
/* Called by reap when the builder's pid has gone. */
void build_reaped(struct master *, int status);
/* Ends the builder, if there is one, and waits for that. */
void build_kill(struct master *);

/* --- plan.c --- */
/* Control asks what a reload would change; its report says it. */
void plan_start(struct master *, uint64_t asker);
/* In the builder: what the plan is made in is nobody else's. */
void plan_enter(struct master *);
void plan_reaped(struct master *, int status);
/* Ends the builder, if there is one, and waits for that. */
void plan_kill(struct master *);

/* --- publish.c --- */
/* There are no files of a new generation. */
void publish_no_files(struct master *);
/* asker 0: a signal. */
void publish_start(struct master *, uint64_t asker);
/* Begins what was asked for while another one was under way. */
void publish_again(struct master *);
void publish_built(struct master *);
/* Adds a diagnostic of the master's own, as the builder would say it. */
void publish_say(struct master *, enum diag_id, const char *why);
void publish_fail(struct master *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A stop was asked for: what is under way changes nothing any more. */
void publish_stop(struct master *);
void publish_answer(struct child *, struct frame *);
/* A child that owed an answer has gone. */
void publish_lost(struct master *, struct child *);
void publish_released(struct child *, uint64_t number, unsigned slot);

/* --- publish_log.c --- */
/* What the builder said, a line a record. */
void publish_log_diags(struct master *, bool failed);
/* What the generation holds that is live now. */
void publish_log_live(const struct conf *);

#endif
