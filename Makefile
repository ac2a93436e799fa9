# sluice: one file for GNU make and bmake.  SRCS below is the index of the
# tree: one line per source, grouped by floor; make lint checks it.
#
# A build has a kind, V, and each kind its own objects:
#   plain  build/       what is installed
#   test   build-test/  with named fault points; make check uses it
#   asan   build-asan/  the same under ASan and UBSan; make check SAN=1
#   cover  build-cover/ the same counting lines; make cover
#   fuzz   build-fuzz/  clang's libFuzzer; make fuzz

# --- the index ----------------------------------------------------------

# base: pure memory
SRCS_BASE = \
	src/base/arena.c \
	src/base/enc.c \
	src/base/err.c \
	src/base/map.c \
	src/base/mean.c \
	src/base/must.c \
	src/base/page.c \
	src/base/put.c \
	src/base/rand.c \
	src/base/scan.c \
	src/base/sizes.c \
	src/base/slab.c \
	src/base/str.c \
	src/base/text.c \
	src/base/vec.c

# os: what the system gives; configure chooses the event file and the system
SRCS_OS = \
	src/os/chan.c \
	src/os/ev.c \
	src/os/ev_poll.c \
	src/os/fault.c \
	src/os/log.c \
	src/os/net.c \
	src/os/notify.c \
	src/os/pid.c \
	src/os/place.c \
	src/os/proc.c \
	src/os/ring.c \
	src/os/shm.c \
	src/os/shm_view.c \
	src/os/sig.c \
	src/os/sock.c \
	src/os/timer.c
SRCS_EV_epoll = \
	src/os/ev_epoll.c
SRCS_EV_kqueue = \
	src/os/ev_kqueue.c
SRCS_EV_poll =
SRCS_SYS_linux = \
	src/os/dirwatch_linux.c \
	src/os/fs_linux.c \
	src/os/priv_linux.c \
	src/os/seccomp_linux.c
SRCS_SYS_other =

# conf: reader, rows, diagnostics, generation
SRCS_CONF = \
	src/conf/assign.c \
	src/conf/conf.c \
	src/conf/delta.c \
	src/conf/diag.c \
	src/conf/diag_print.c \
	src/conf/dump.c \
	src/conf/expand.c \
	src/conf/gen.c \
	src/conf/include.c \
	src/conf/keys.c \
	src/conf/lines.c \
	src/conf/load.c \
	src/conf/override.c \
	src/conf/reader.c \
	src/conf/resolve.c \
	src/conf/rows.c \
	src/conf/schema.c \
	src/conf/sheet.c \
	src/conf/value.c

# io: byte transports
SRCS_IO = \
	src/io/dial.c \
	src/io/fds.c \
	src/io/io.c \
	src/io/mem.c \
	src/io/pipe.c \
	src/io/proxy_proto.c \
	src/io/relay.c \
	src/io/sock.c \
	src/io/tls.c \
	src/io/tls_write.c

# http: messages and the waist
SRCS_HTTP = \
	src/http/cookie.c \
	src/http/date.c \
	src/http/fail.c \
	src/http/grpc.c \
	src/http/hdr.c \
	src/http/msg.c \
	src/http/range.c \
	src/http/uri.c \
	src/http/waist.c

# tls: certificates, policies
SRCS_TLS = \
	src/tls/cert.c \
	src/tls/cert_build.c \
	src/tls/cert_cache.c \
	src/tls/cert_conf.c \
	src/tls/cert_date.c \
	src/tls/cert_examine.c \
	src/tls/cert_file.c \
	src/tls/cert_index.c \
	src/tls/cert_load.c \
	src/tls/cert_names.c \
	src/tls/cert_read.c \
	src/tls/cert_say.c \
	src/tls/cert_state.c \
	src/tls/cert_watch.c \
	src/tls/client.c \
	src/tls/client_blame.c \
	src/tls/dev.c \
	src/tls/hello.c \
	src/tls/pem.c \
	src/tls/policy.c \
	src/tls/terms.c \
	src/tls/terms_client.c \
	src/tls/ticket.c \
	src/tls/trial.c

# codec: HTTP versions, both sides of the waist
SRCS_CODEC = \
	src/codec/h1/h1_blame.c \
	src/codec/h1/h1_body.c \
	src/codec/h1/h1_chunk.c \
	src/codec/h1/h1_client.c \
	src/codec/h1/h1_field.c \
	src/codec/h1/h1_inbuf.c \
	src/codec/h1/h1_outq.c \
	src/codec/h1/h1_parse.c \
	src/codec/h1/h1_server.c \
	src/codec/h1/h1_server_in.c \
	src/codec/h1/h1_server_out.c \
	src/codec/h1/h1_write.c \
	src/codec/h2/h2_answer.c \
	src/codec/h2/h2_bdp.c \
	src/codec/h2/h2_client.c \
	src/codec/h2/h2_client_msg.c \
	src/codec/h2/h2_code.c \
	src/codec/h2/h2_conn.c \
	src/codec/h2/h2_conn_count.c \
	src/codec/h2/h2_conn_flush.c \
	src/codec/h2/h2_conn_in.c \
	src/codec/h2/h2_conn_ng.c \
	src/codec/h2/h2_conn_out.c \
	src/codec/h2/h2_glitch.c \
	src/codec/h2/h2_head.c \
	src/codec/h2/h2_mem.c \
	src/codec/h2/h2_outq.c \
	src/codec/h2/h2_priority.c \
	src/codec/h2/h2_ring.c \
	src/codec/h2/h2_server_look.c \
	src/codec/h2/h2_server_msg.c \
	src/codec/h2/h2_server_side.c \
	src/codec/h2/h2_walk.c \
	src/codec/raw/raw_client.c \
	src/codec/raw/raw_server.c \
	src/codec/ws/ws.c

# core and up: connections, exchanges, routes; upstreams
SRCS_CORE = \
	src/core/access.c \
	src/core/ask.c \
	src/core/board.c \
	src/core/cert_use.c \
	src/core/chain.c \
	src/core/client.c \
	src/core/cond.c \
	src/core/cond_cookie.c \
	src/core/cond_from.c \
	src/core/cond_header.c \
	src/core/cond_method.c \
	src/core/cond_not.c \
	src/core/cond_query.c \
	src/core/cond_upgrade.c \
	src/core/conn.c \
	src/core/error.c \
	src/core/error_conf.c \
	src/core/error_grpc.c \
	src/core/exchange.c \
	src/core/exchange_debug.c \
	src/core/exchange_end.c \
	src/core/exchange_limit.c \
	src/core/exchange_steps.c \
	src/core/exchange_upgrade.c \
	src/core/expr.c \
	src/core/flight.c \
	src/core/greet.c \
	src/core/greet_tls.c \
	src/core/health.c \
	src/core/health_config.c \
	src/core/https.c \
	src/core/https_conf.c \
	src/core/last.c \
	src/core/lease.c \
	src/core/lease_sweep.c \
	src/core/limit.c \
	src/core/listener.c \
	src/core/listener_conf.c \
	src/core/listener_limit.c \
	src/core/listener_rows.c \
	src/core/listener_say.c \
	src/core/log_conf.c \
	src/core/mail.c \
	src/core/pass.c \
	src/core/pass_conf.c \
	src/core/record_format.c \
	src/core/record_text.c \
	src/core/regex.c \
	src/core/rewrite.c \
	src/core/route.c \
	src/core/route_conf.c \
	src/core/route_cover.c \
	src/core/route_index.c \
	src/core/route_lint.c \
	src/core/route_path.c \
	src/core/secret.c \
	src/core/secure.c \
	src/core/secure_conf.c \
	src/core/secure_cover.c \
	src/core/secure_fit.c \
	src/core/secure_host.c \
	src/core/secure_identity.c \
	src/core/secure_lint.c \
	src/core/serve.c \
	src/core/settings.c \
	src/core/settings_cpu.c \
	src/core/settings_level.c \
	src/core/settings_resolver.c \
	src/core/stat.c \
	src/core/template.c \
	src/core/ticket.c \
	src/core/trust.c \
	src/core/version.c
SRCS_UP = \
	src/up/attempt.c \
	src/up/balance_lint.c \
	src/up/breaker.c \
	src/up/breaker_conf.c \
	src/up/breaker_pick.c \
	src/up/breaker_sweep.c \
	src/up/census.c \
	src/up/choice_conf.c \
	src/up/dial_fail.c \
	src/up/draw.c \
	src/up/fail_count.c \
	src/up/fallback.c \
	src/up/hash.c \
	src/up/health_balancer.c \
	src/up/least_conn.c \
	src/up/look.c \
	src/up/maglev.c \
	src/up/members.c \
	src/up/name_conf.c \
	src/up/names_rows.c \
	src/up/outlier.c \
	src/up/outlier_sweep.c \
	src/up/pool.c \
	src/up/pool_conn.c \
	src/up/pool_dial.c \
	src/up/pool_share.c \
	src/up/pool_tls.c \
	src/up/probe.c \
	src/up/probe_conf.c \
	src/up/probe_grpc.c \
	src/up/probe_regex.c \
	src/up/probe_set.c \
	src/up/probe_tls.c \
	src/up/probe_ws.c \
	src/up/probes.c \
	src/up/queue.c \
	src/up/queue_board.c \
	src/up/queue_want.c \
	src/up/random.c \
	src/up/retry.c \
	src/up/retry_conf.c \
	src/up/retry_rows.c \
	src/up/round_robin.c \
	src/up/row_text.c \
	src/up/server.c \
	src/up/server_http.c \
	src/up/server_tls.c \
	src/up/server_tls_conf.c \
	src/up/server_use.c \
	src/up/slow_start.c \
	src/up/state.c \
	src/up/sticky.c \
	src/up/sticky_site.c \
	src/up/tls_files.c \
	src/up/told.c \
	src/up/two_choices.c \
	src/up/upstream.c \
	src/up/upstream_conf.c \
	src/up/upstream_rows.c \
	src/up/use_sweep.c \
	src/up/version_lint.c \
	src/up/view.c \
	src/up/watch.c \
	src/up/watch_conf.c

# filter and handler: one file each
SRCS_FILTER =
SRCS_HANDLER = \
	src/handler/echo.c \
	src/handler/health_static.c \
	src/handler/proxy.c \
	src/handler/proxy_choice.c \
	src/handler/proxy_conf.c \
	src/handler/proxy_deadline.c \
	src/handler/proxy_fail.c \
	src/handler/proxy_fallback.c \
	src/handler/proxy_forward.c \
	src/handler/proxy_gather.c \
	src/handler/proxy_grpc.c \
	src/handler/proxy_head.c \
	src/handler/proxy_identity.c \
	src/handler/proxy_keep.c \
	src/handler/proxy_lint.c \
	src/handler/proxy_pump.c \
	src/handler/proxy_queue.c \
	src/handler/proxy_relay.c \
	src/handler/proxy_retry.c \
	src/handler/proxy_retry_conf.c \
	src/handler/redirect.c \
	src/handler/respond.c \
	src/handler/static.c \
	src/handler/static_answer.c \
	src/handler/static_body.c \
	src/handler/static_cache.c \
	src/handler/static_coding.c \
	src/handler/static_cond.c \
	src/handler/static_conf.c \
	src/handler/static_file.c \
	src/handler/static_site.c \
	src/handler/static_type.c

# control: the socket and its API
SRCS_CONTROL = \
	src/control/api.c \
	src/control/api_balance.c \
	src/control/api_certs.c \
	src/control/api_explain.c \
	src/control/api_failures.c \
	src/control/api_log.c \
	src/control/api_names.c \
	src/control/api_order.c \
	src/control/api_probes.c \
	src/control/api_servers.c \
	src/control/api_state.c \
	src/control/api_upstreams.c \
	src/control/dns.c \
	src/control/expiry.c \
	src/control/expiry_file.c \
	src/control/explain.c \
	src/control/explain_choice.c \
	src/control/explain_pick.c \
	src/control/explain_tls.c \
	src/control/explain_url.c \
	src/control/lookup.c \
	src/control/names.c \
	src/control/resolver.c \
	src/control/search.c

# the table of contents
SRCS_REGISTRY = \
	src/registry.c

# main: sluiced
SRCS_MAIN = \
	src/main/bind.c \
	src/main/budget.c \
	src/main/build.c \
	src/main/certwatch.c \
	src/main/check.c \
	src/main/child.c \
	src/main/child_look.c \
	src/main/child_names.c \
	src/main/control.c \
	src/main/fail_doc.c \
	src/main/handover.c \
	src/main/health.c \
	src/main/helper.c \
	src/main/helper_list.c \
	src/main/helper_open.c \
	src/main/logger.c \
	src/main/logger_console.c \
	src/main/logger_drain.c \
	src/main/logger_feed.c \
	src/main/logger_file.c \
	src/main/logger_gzip.c \
	src/main/logger_rotate.c \
	src/main/logger_text.c \
	src/main/master.c \
	src/main/opts.c \
	src/main/panic.c \
	src/main/plan.c \
	src/main/plan_files.c \
	src/main/procs.c \
	src/main/publish.c \
	src/main/publish_log.c \
	src/main/reach.c \
	src/main/reap.c \
	src/main/roll.c \
	src/main/skeleton.c \
	src/main/sluiced.c \
	src/main/upgrade.c \
	src/main/worker.c

# cli: sluicectl
SRCS_CLI = \
	src/cli/client.c \
	src/cli/explain.c \
	src/cli/follow.c \
	src/cli/named.c \
	src/cli/peek.c \
	src/cli/server.c \
	src/cli/show.c \
	src/cli/show_balance.c \
	src/cli/show_certs.c \
	src/cli/show_explain.c \
	src/cli/show_log.c \
	src/cli/show_names.c \
	src/cli/show_plan.c \
	src/cli/show_probes.c \
	src/cli/show_upstreams.c \
	src/cli/show_why.c \
	src/cli/sluicectl.c \
	src/cli/table.c

# --- kinds of build -----------------------------------------------------

-include config.mk

SAN =
V_ = plain
V_1 = asan
V = $(V_$(SAN))

# the kind that tests use: V if it is one for tests
TV_plain = test
TV_test = test
TV_asan = asan
TV_cover = cover
TV = $(TV_$(V))

B_plain = build
B_test = build-test
B_asan = build-asan
B_cover = build-cover
B_fuzz = build-fuzz
B = $(B_$(V))

CC_plain = $(CC)
CC_test = $(CC)
CC_asan = $(CC)
CC_cover = $(CC)
CC_fuzz = $(FUZZ_CC)

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
# over all files at once: an eighth fewer instructions; CFLAGS=-fno-lto
# leaves it out
CF_plain = $(CFLAGS_OPT) $(CFLAGS_LTO)
CF_test = $(CFLAGS_OPT) -DSL_FAULTS=1
CF_asan = -O1 -g $(SANITIZE) -DSL_FAULTS=1
CF_cover = -O0 -g --coverage -fprofile-update=atomic -DSL_FAULTS=1 -DSL_COVER=1
# without a call at each comparison: most of these are those of UBSan, and
# they take a third of the time; memcmp still tells libFuzzer its words
CF_fuzz = -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-coverage=trace-cmp -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -DSL_FAULTS=1
# as the objects were made: the link compiles once more
LF_plain = $(CFLAGS_OPT) $(CFLAGS_LTO)
LF_asan = $(SANITIZE)
LF_cover = --coverage
LF_fuzz = -fsanitize=fuzzer,address,undefined

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wformat=2
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -I. -Isrc $(WARN) $(CFLAGS_OS) \
	$(CF_$(V)) $(CFLAGS_LIBS) $(CPPFLAGS_USER) $(CFLAGS_USER)
ALL_LDFLAGS = $(LDFLAGS_OS) $(LF_$(V)) $(LDFLAGS_USER)

COMMON = $(SRCS_BASE) $(SRCS_OS) $(SRCS_EV_$(EV)) $(SRCS_SYS_$(SYS)) \
	$(SRCS_CONF) $(SRCS_IO) \
	$(SRCS_HTTP) $(SRCS_TLS) $(SRCS_CODEC) $(SRCS_CORE) $(SRCS_UP) $(SRCS_FILTER) \
	$(SRCS_HANDLER) $(SRCS_CONTROL) $(SRCS_REGISTRY)

# tests need no line here: every t/unit/test_X.c and t/fuzz/fuzz_X.c is one
UNIT_C != ls t/unit/test_*.c 2>/dev/null || :
FUZZ_C != ls t/fuzz/fuzz_*.c 2>/dev/null || :

# an object lies where its source does, below B: build/src/base/arena.o
OBJS_COMMON = $(COMMON:%.c=$(B)/%.o)
OBJS_MAIN = $(SRCS_MAIN:%.c=$(B)/%.o)
OBJS_CLI = $(SRCS_CLI:%.c=$(B)/%.o)
OBJS_UNIT = $(UNIT_C:%.c=$(B)/%.o)
OBJS_FUZZ = $(FUZZ_C:%.c=$(B)/%.o)
OBJ_REPLAY = $(B)/t/fuzz/replay.o
OBJS = $(OBJS_COMMON) $(OBJS_MAIN) $(OBJS_CLI)
OBJS_ALL = $(OBJS) $(OBJS_UNIT) $(OBJS_FUZZ) $(OBJ_REPLAY)

# archives, so that a program takes what it uses; floors 7 and below, main
LIB = $(B)/libsluice.a
LIB_MAIN = $(B)/libmain.a
LIB_CLI = $(B)/libcli.a
# the registry names what main/ runs, and main/ uses everything
LIBS_ALL = $(LIB) $(LIB_MAIN) $(LIB)
PROGS = $(B)/sluiced $(B)/sluicectl
COMPLETION = $(B)/complete.bash $(B)/complete.zsh
UNITS = $(UNIT_C:%.c=$(B)/%)
FUZZERS = $(FUZZ_C:%.c=$(B)/%)

PYTHON = /usr/bin/python3
TESTENV = PYTHONDONTWRITEBYTECODE=1 SLUICE_BIN="$$PWD/$(B)" SLUICE_KIND=$(V)
PYTEST = $(PYTHON) -m pytest -q -p no:cacheprovider
SOAK_SCALE = 1
FUZZ_RUNS = 1000000
COVER_MIN = 75
RUN_CMD = contrib/demo/run.sh
INSTALL = install

# this file again: quietly, and on all processors unless told otherwise
QUIET != case "$(MAKE_VERSION)" in [34].*) echo --no-print-directory ;; esac
SELF = $(MAKE) $(QUIET)
AGAIN = case " $$MAKEFLAGS" in *-j*|*jobserver*) j= ;; \
	*) j=-j`getconf _NPROCESSORS_ONLN` ;; esac; \
	$(SELF) $$j

# --- what people type ---------------------------------------------------

all: all-$(CONFIGURED)

all-yes: config.mk
	+@$(AGAIN) SAN= V=$(V) progs

all-: configured
	+@$(AGAIN) SAN= V=$(V) progs

help:
	@echo 'all        the programs, in build/'
	@echo 'run        build and start a demo on 127.0.0.1'
	@echo 'check      unit and itest: all that a change must pass'
	@echo 'unit       unit tests and the replay of the fuzz corpus'
	@echo 'itest      the programs as a whole; T=t/test_x.py for one file'
	@echo 'soak       long tests; SOAK_SCALE=0.05 for a short turn'
	@echo 'lint       rules of the house, man pages, scripts, cppcheck'
	@echo 'fuzz       every fuzz target for FUZZ_RUNS=$(FUZZ_RUNS) inputs'
	@echo 'bench      speed next to its peers; BENCH="static-1k" ROUNDS=3'
	@echo 'cover      line coverage of unit and itest, at least $(COVER_MIN) %'
	@echo 'install    DESTDIR and PREFIX are honoured; uninstall'
	@echo 'dist       sluice-VERSION.tar.gz of the last commit'
	@echo 'clean      what was built; distclean: and configured'
	@echo 'SAN=1 with check, unit, itest or soak: under ASan and UBSan'

run:
	@sh contrib/deps.sh build
	+@$(SELF) configured
	+@$(AGAIN) SAN= V=plain progs >/dev/null
	@$(RUN_CMD)

unit:
	@sh contrib/deps.sh build check
	+@$(SELF) configured
	+@$(AGAIN) SAN= V=$(TV) do-unit

check itest soak:
	@sh contrib/deps.sh build check
	+@$(SELF) configured
	+@$(AGAIN) SAN= V=$(TV) progs do-$@

cover:
	@sh contrib/deps.sh build check cover
	+@$(SELF) configured
	+@$(AGAIN) SAN= V=cover progs do-cover

fuzz:
	@sh contrib/deps.sh build fuzz
	+@$(SELF) configured
	+@$(AGAIN) SAN= V=fuzz do-fuzz

bench:
	@sh contrib/deps.sh build bench
	+@$(SELF) configured
	+@$(AGAIN) SAN= V=plain progs do-bench

lint:
	@sh contrib/deps.sh build lint
	+@$(SELF) configured
	@sh t/lint/run.sh

# in a checkout that was never configured; later config.mk looks after itself
configured:
	@test -f config.mk || ./configure >/dev/null

config.mk: configure
	@test ! -f config.status || sh config.status >/dev/null
	@test ! -f config.mk || touch config.mk

# --- how it is made -----------------------------------------------------

progs: $(PROGS) $(COMPLETION)

# the source is the object's own name without B/
$(OBJS_ALL): config.mk
	@mkdir -p $(@D)
	@src=$(@:.o=.c); src=$${src#*/}; echo "CC $$src"; \
	$(CC_$(V)) $(ALL_CFLAGS) -MMD -MP -c -o $@ $$src

$(LIB): $(OBJS_COMMON) Makefile
	@rm -f $@
	@$(AR) rcs $@ $(OBJS_COMMON)

$(LIB_MAIN): $(OBJS_MAIN) Makefile
	@rm -f $@
	@$(AR) rcs $@ $(OBJS_MAIN)

$(LIB_CLI): $(OBJS_CLI) Makefile
	@rm -f $@
	@$(AR) rcs $@ $(OBJS_CLI)

$(B)/sluiced: $(OBJS_MAIN) $(LIB)
	@echo "LD $@"
	@$(CC_$(V)) -o $@ $(OBJS_MAIN) $(LIB) $(ALL_LDFLAGS) $(LDLIBS)

$(B)/sluicectl: $(OBJS_CLI) $(LIB) $(LIB_MAIN)
	@echo "LD $@"
	@$(CC_$(V)) -o $@ $(OBJS_CLI) $(LIBS_ALL) $(ALL_LDFLAGS) $(LDLIBS)

# from the programs' tables; where these do not run (a cross build), none
$(COMPLETION): $(PROGS) contrib/completion.sh
	@echo "GEN $@"
	@shell=$@; if $(B)/sluiced -V >/dev/null 2>&1; then \
		sh contrib/completion.sh $${shell##*.} $(B)/sluiced \
		    $(B)/sluicectl >$@.tmp && mv $@.tmp $@; \
	else \
		: >$@; \
	fi

# a test brings its own main, so those of the programs stay out; three
# have doubles of single functions of objects whose rest they need
$(B)/t/unit/test_api $(B)/t/unit/test_proxy_steps \
    $(B)/t/unit/test_proxy_wait: \
    LDFLAGS_DOUBLES = -Wl,-z,muldefs
$(UNITS): $(OBJS_UNIT) $(LIB) $(LIB_MAIN) $(LIB_CLI)
	@$(CC_$(V)) -o $@ $@.o $(LIB_CLI) $(LIBS_ALL) $(ALL_LDFLAGS) \
	    $(LDFLAGS_DOUBLES) $(LDLIBS_CHECK) $(LDLIBS)

# with V=fuzz libFuzzer's main, else ours, which replays the corpus
REPLAY_plain = $(OBJ_REPLAY)
REPLAY_test = $(OBJ_REPLAY)
REPLAY_asan = $(OBJ_REPLAY)
REPLAY_cover = $(OBJ_REPLAY)
REPLAY = $(REPLAY_$(V))

$(FUZZERS): $(OBJS_FUZZ) $(REPLAY) $(LIB) $(LIB_MAIN)
	@$(CC_$(V)) -o $@ $@.o $(REPLAY) $(LIBS_ALL) $(ALL_LDFLAGS) $(LDLIBS)

-include $(OBJS_ALL:.o=.d)

# --- tests --------------------------------------------------------------

do-unit: $(UNITS) $(FUZZERS)
	@$(TESTENV) $(PYTHON) t/lib/unit.py $(UNITS) $(FUZZERS)

# all, or with T=... those; most of what tests take is waiting, so there are
# more processes than processors, and each takes the next file
T =
JOBS = 4

do-itest: $(PROGS) $(COMPLETION)
	@if [ -n "$(T)" ]; then \
		$(TESTENV) $(PYTEST) $(T) || test $$? -eq 5; \
	else \
		$(TESTENV) $(PYTEST) -n $(JOBS) --dist loadfile --timeout 300 \
		    t/test_*.py; \
	fi

do-soak: $(PROGS) $(B)/t/unit/test_route_cost
	@test ! -d t/soak || SOAK_SCALE=$(SOAK_SCALE) $(TESTENV) \
	    $(PYTEST) t/soak || test $$? -eq 5

# one after the other: they measure time
do-check: $(PROGS) $(UNITS) $(FUZZERS)
	+@rc=0; $(SELF) V=$(V) do-unit || rc=1; $(SELF) V=$(V) do-itest || rc=1; \
	exit $$rc

# processes that gave up root must still write their counts
do-cover: $(PROGS) $(UNITS) $(FUZZERS)
	@find $(B) -name '*.gcda' -exec rm -f {} +
	@find $(B) -name '*.gcno' | sed 's/gcno$$/gcda/' | \
	    while read -r f; do : >"$$f"; done
	@chmod -R a+rwX $(B)
	+@rc=0; $(SELF) V=$(V) do-unit || rc=1; $(SELF) V=$(V) do-itest || rc=1; \
	find $(B) -name '*.gcda' -size 0 -exec rm -f {} +; \
	gcovr -r . --object-directory $(B) --filter src/ -s \
	    --fail-under-line $(COVER_MIN) -o $(B)/report.txt $(B) || rc=1; \
	echo "lines in detail: $(B)/report.txt"; exit $$rc

do-fuzz: $(FUZZERS)
	@FUZZ_RUNS=$(FUZZ_RUNS) sh t/fuzz/run.sh $(B) $(FUZZERS)

# generator, upstream, OpenSSL alone, what valgrind wants; BENCH: all of them
BENCH =
ROUNDS = 15
BENCH_SECONDS = 2
BENCH_TOOLS = $(B)/bench/load $(B)/bench/origin $(B)/bench/floor \
	$(B)/bench/held $(B)/bench/openat2.so
SHARED_openat2.so = -shared -fPIC

do-bench-tools: $(BENCH_TOOLS)

LOAD_PARTS = contrib/bench/load_h1.c contrib/bench/load_h2.c \
	contrib/bench/load_time.c contrib/bench/load_tls.c
MORE_load = $(LOAD_PARTS) $(CFLAGS_LIBS) $(LDLIBS)
MORE_floor = $(CFLAGS_LIBS) $(LDLIBS)
MORE_held = $(CFLAGS_LIBS) $(LDLIBS)
MORE_origin = contrib/bench/origin_h2.c $(CFLAGS_LIBS) $(LDLIBS)

$(BENCH_TOOLS): contrib/bench/load.c $(LOAD_PARTS) $(LOAD_PARTS:.c=.h) \
		contrib/bench/origin.c contrib/bench/origin_h2.c \
		contrib/bench/origin_h2.h contrib/bench/openat2.c \
		contrib/bench/floor.c contrib/bench/held.c config.mk
	@mkdir -p $(@D)
	@$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 $(SHARED_$(@F)) -o $@ \
	    contrib/bench/`basename $@ .so`.c $(MORE_$(@F))

do-bench: $(PROGS) $(BENCH_TOOLS)
	@$(PYTHON) contrib/bench/bench.py --build $(B) --rounds $(ROUNDS) \
	    --seconds $(BENCH_SECONDS) $(BENCH)

# --- install and the rest -----------------------------------------------

install: all
	+@$(SELF) SAN= V=plain do-install

# the words between @ in files of other programs, and where these look
SHAREDIR = $(PREFIX)/share/doc/sluice
UNITDIR = $(PREFIX)/lib/systemd/system
USERDIR = $(PREFIX)/lib/sysusers.d
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
STATEDIR = sed -n 's/^\#define SL_STATEDIR "\(.*\)"$$/\1/p' config.h
RUNDIR = sed -n 's/^\#define SL_RUNDIR "\(.*\)"$$/\1/p' config.h
FILL = sed -e 's|@SBINDIR@|$(SBINDIR)|g' -e "s|@STATEDIR@|`$(STATEDIR)`|g"
# texts name the places that a plain configure chooses
FILL_TEXT = sed -e 's|/usr/local/etc|$(SYSCONFDIR)|g' \
	-e 's|--prefix=/usr/local|--prefix=$(PREFIX)|g' \
	-e "s|/usr/local/var/lib/sluice|`$(STATEDIR)`|g" \
	-e "s|/run/sluice|`$(RUNDIR)`|g"

do-install: $(PROGS) $(COMPLETION)
	$(INSTALL) -d $(DESTDIR)$(SBINDIR)
	$(INSTALL) -m 755 $(B)/sluiced $(B)/sluicectl $(DESTDIR)$(SBINDIR)
	@for f in man/*.[1-9]; do \
		d=$(DESTDIR)$(MANDIR)/man$${f##*.}; \
		$(INSTALL) -d "$$d" && $(FILL_TEXT) "$$f" >"$$d/$${f##*/}" && \
		    chmod 644 "$$d/$${f##*/}" || exit 1; \
		echo "$$f -> $$d"; \
	done
	@INSTALL="$(INSTALL)" sh contrib/conffiles.sh install etc \
	    $(DESTDIR)$(SYSCONFDIR)/sluice $(DESTDIR)$(SHAREDIR)/examples
	@# sluiced makes its own in it, and gives that to its user
	$(INSTALL) -d "$(DESTDIR)`$(STATEDIR) | sed 's|/[^/]*$$||'`"
	$(INSTALL) -d $(DESTDIR)$(SHAREDIR)/cookbook $(DESTDIR)$(UNITDIR) \
	    $(DESTDIR)$(USERDIR) $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR)
	$(FILL) contrib/systemd/sluice.service \
	    >$(DESTDIR)$(UNITDIR)/sluice.service
	$(INSTALL) -m 644 contrib/systemd/sysusers.conf \
	    $(DESTDIR)$(USERDIR)/sluice.conf
	$(FILL) contrib/logrotate.conf >$(DESTDIR)$(SHAREDIR)/logrotate.conf
	$(FILL_TEXT) README >$(DESTDIR)$(SHAREDIR)/README
	@chmod 644 $(DESTDIR)$(UNITDIR)/sluice.service \
	    $(DESTDIR)$(SHAREDIR)/logrotate.conf $(DESTDIR)$(SHAREDIR)/README
	$(INSTALL) -m 644 doc/cookbook/*.md $(DESTDIR)$(SHAREDIR)/cookbook
	@if test -s $(B)/complete.bash; then \
		for p in sluiced sluicectl; do \
			$(INSTALL) -m 644 $(B)/complete.bash \
			    $(DESTDIR)$(BASHDIR)/$$p || exit 1; \
		done; \
		$(INSTALL) -m 644 $(B)/complete.zsh $(DESTDIR)$(ZSHDIR)/_sluice; \
	fi

# what the operator has changed stays: configurations and the state
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/sluiced $(DESTDIR)$(SBINDIR)/sluicectl
	@sh contrib/conffiles.sh remove etc $(DESTDIR)$(SYSCONFDIR)/sluice \
	    $(DESTDIR)$(SHAREDIR)/examples
	@for f in man/*.[1-9]; do \
		rm -f "$(DESTDIR)$(MANDIR)/man$${f##*.}/$${f##*/}"; \
	done
	@for f in doc/cookbook/*.md; do \
		rm -f "$(DESTDIR)$(SHAREDIR)/cookbook/$${f##*/}"; \
	done
	rm -f $(DESTDIR)$(UNITDIR)/sluice.service \
	    $(DESTDIR)$(USERDIR)/sluice.conf \
	    $(DESTDIR)$(SHAREDIR)/logrotate.conf $(DESTDIR)$(SHAREDIR)/README \
	    $(DESTDIR)$(BASHDIR)/sluiced $(DESTDIR)$(BASHDIR)/sluicectl \
	    $(DESTDIR)$(ZSHDIR)/_sluice
	@rmdir $(DESTDIR)$(SHAREDIR)/cookbook $(DESTDIR)$(SHAREDIR) \
	    "$(DESTDIR)`$(STATEDIR)`" 2>/dev/null || :

dist:
	git archive --prefix=sluice-$(VERSION)/ \
	    -o sluice-$(VERSION).tar.gz HEAD

clean:
	rm -rf build build-test build-asan build-cover build-fuzz

distclean: clean
	rm -f config.mk config.h config.log config.status sluice-*.tar.gz

.PHONY: all all- all-yes help run check unit itest soak cover fuzz bench lint \
	configured progs do-unit do-itest do-soak do-check do-cover do-fuzz \
	do-bench do-bench-tools install do-install uninstall dist clean distclean
