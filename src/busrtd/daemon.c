/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread moves no frame: it accepts, reads FIFOs, and tells the log what the engine
 * reports. Signals are blocked in every thread and read by the loop; while the engine comes to its
 * end they have their default effect again, so that a second one ends the process at once.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "access/rules.h"
#include "basic/clock.h"
#include "basic/macro.h"
#include "broker-rpc/broker-rpc.h"
#include "busrtd/background.h"
#include "busrtd/bus.h"
#include "busrtd/control.h"
#include "busrtd/control-rpc.h"
#include "busrtd/daemon.h"
#include "busrtd/messages.h"
#include "busrtd/pid-file.h"
#include "busrtd/real-time.h"
#include "busrtd/status-line.h"
#include "busrtd/text.h"
#include "busrtd/watchdog.h"

#define EVENTS_PER_TURN 256
#define STOP_GRACE                                                                                 \
        (100 * NSEC_PER_MSEC) /* for clients to read the warning before they are disconnected */

struct daemon {
        const struct options *options; /* of the start */
        struct control control;
        struct bus *bus; /* D-Bus; NULL: none */
        sd_event *loop;
        sd_event_source *engine_events, *rpc_errands;
        struct log *log;
        struct report *report;
        struct notify *notify;
        struct engine *engine;
        struct broker_rpc *rpc;
        struct status_line *status_line; /* once it serves */
        struct watchdog *watchdog;       /* NULL: nobody expects it */
        struct sockets sockets;
        struct real_time real_time;
        struct own_file pid_file;
        rlim_t max_files;
        bool on_terminal;
        const char *stop_signal;
        int exit_status; /* of a start that failed */
};

/* One line to whoever started us, and to the log where that is elsewhere. How far the start had
 * come is of no use then. */
static void daemon_complain_record(struct daemon *d, const struct log_record *record)
{
        enum log_target target = d->log ? log_get_target(d->log) : LOG_TARGET_STDERR;

        if (target != LOG_TARGET_JOURNAL || !log_stderr_is_journal())
                (void)fprintf(stderr, "busrtd: %s\n", record->text);
        if (!d->log)
                return;
        log_release(d->log, true);
        if (target != LOG_TARGET_STDERR)
                log_submit(d->log, record);
}

_printf_(2, 3) static void daemon_complain(struct daemon *d, const char *format, ...)
{
        struct log_record record;
        char text[SOCKETS_ERROR_MAX + 64];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        message_failed(&record, text);
        daemon_complain_record(d, &record);
}

static int daemon_fail(struct daemon *d, const char *what, int error)
{
        daemon_complain(d, "cannot %s: %s", what, strerrordesc_np(-error));
        return error;
}

/* --- Signals --- */

static int daemon_stop(struct daemon *d, const char *signal_name)
{
        d->stop_signal = signal_name;
        return sd_event_exit(d->loop, 0);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        return daemon_stop(userdata, si->ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
}

/* The end of the terminal that it was started on ends it, as any program. */
static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        struct daemon *d = userdata;
        char error[CONTROL_ERROR_MAX];

        if (d->on_terminal)
                return daemon_stop(d, "SIGHUP");
        (void)control_reload(&d->control, error);
        return 0;
}

/* nohup(1) */
static bool is_ignored(int signal_number)
{
        struct sigaction action;

        return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void signal_mask(sigset_t *ret)
{
        sigemptyset(ret);
        sigaddset(ret, SIGTERM);
        sigaddset(ret, SIGINT);
        if (!is_ignored(SIGHUP))
                sigaddset(ret, SIGHUP);
}

static void block_signals(void)
{
        sigset_t mask;

        (void)signal(SIGPIPE, SIG_IGN);
        signal_mask(&mask);
        (void)sigprocmask(SIG_BLOCK, &mask, NULL);
}

static int daemon_watch_signals(struct daemon *d)
{
        int r = sd_event_add_signal(d->loop, NULL, SIGTERM, on_terminate, d);

        if (r >= 0)
                r = sd_event_add_signal(d->loop, NULL, SIGINT, on_terminate, d);
        if (r >= 0 && !is_ignored(SIGHUP))
                r = sd_event_add_signal(d->loop, NULL, SIGHUP, on_hangup, d);
        return r;
}

static void restore_signals(void)
{
        sigset_t mask;

        signal_mask(&mask);
        (void)sigprocmask(SIG_UNBLOCK, &mask, NULL);
}

/* --- The start --- */

static rlim_t raise_file_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 0;
        if (limit.rlim_cur < limit.rlim_max) {
                struct rlimit raised = {limit.rlim_max, limit.rlim_max};

                if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
                        return raised.rlim_cur;
        }
        return limit.rlim_cur;
}

static int on_engine_event(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        struct daemon *d = userdata;
        struct engine_event event;

        for (unsigned i = 0; i < EVENTS_PER_TURN && engine_event_next(d->engine, &event) > 0; i++) {
                report_engine_event(d->report, &event);
                bus_tell_event(d->bus, &event);
        }
        status_line_touch(d->status_line);
        return 0;
}

static int daemon_start_log(struct daemon *d)
{
        const struct options *o = d->options;
        struct log_record record;
        int r;

        r = log_new(log_target_choose(o->verbose, o->daemonize, o->log_syslog),
                    o->verbose ? LOG_DEBUG : LOG_INFO, &d->log);
        if (r >= 0)
                r = report_new(d->loop, d->log, &d->report);
        if (r < 0)
                return daemon_fail(d, "start the log", r);
        message_starting(&record);
        report_record(d->report, &record);
        control_warn_of_unknown_keys(d->report, o);
        if (access_rules_n_sections(o->engine.access) > 0) {
                message_access_rules(&record, o->engine.access);
                report_record(d->report, &record);
        }
        return 0;
}

static int daemon_make_engine(struct daemon *d)
{
        int r = engine_new(&d->options->engine, &d->engine);

        if (r >= 0)
                r = broker_rpc_new(&d->rpc);
        if (r < 0)
                return daemon_fail(d, "make the engine", r);
        broker_rpc_attach(d->rpc, d->engine);
        return 0;
}

static int daemon_open_sockets(struct daemon *d, const struct passed_sockets *passed)
{
        const struct options *o = d->options;
        struct log_record record;
        char error[SOCKETS_ERROR_MAX];
        const char *which = "";
        int r;

        sockets_init(&d->sockets, d->loop, d->engine, d->report, &o->engine, d->max_files);
        r = sockets_add_passed(&d->sockets, passed, error);
        for (size_t i = 0; i < o->n_binds && r >= 0; i++)
                r = sockets_add_address(&d->sockets, which = o->binds[i], error);
        if (r >= 0 && d->sockets.n == 0)
                r = sockets_add_default(&d->sockets, error);
        if (r < 0) {
                message_listener_missing(&record, error, which);
                daemon_complain_record(d, &record);
                return r;
        }
        message_limits(&record, &o->engine, d->max_files);
        report_record(d->report, &record);
        return 0;
}

static int daemon_watch_over(struct daemon *d)
{
        int r = status_line_new(d->loop, d->engine, d->notify, d->sockets.n, &d->status_line);

        if (r >= 0)
                r = watchdog_new(d->loop, d->engine, d->report, d->notify, d->status_line,
                                 &d->watchdog);
        return r < 0 ? daemon_fail(d, "watch over the engine", r) : 0;
}

static void daemon_make_control(struct daemon *d)
{
        control_init(&d->control, d->options);
        d->control.loop = d->loop;
        d->control.engine = d->engine;
        d->control.sockets = &d->sockets;
        d->control.log = d->log;
        d->control.report = d->report;
        d->control.notify = d->notify;
        d->control.max_files = d->max_files;
        d->control.real_time = &d->real_time;
}

static int daemon_start_engine(struct daemon *d)
{
        int r = sd_event_add_io(d->loop, &d->engine_events, engine_event_fd(d->engine), EPOLLIN,
                                on_engine_event, d);

        if (r >= 0)
                r = control_rpc_attach(&d->control, d->loop, d->rpc, &d->rpc_errands);
        if (r >= 0)
                r = engine_start(d->engine);
        return r < 0 ? daemon_fail(d, "start the engine", r) : 0;
}

static int daemon_join_dbus(struct daemon *d)
{
        int r = bus_new(&d->control, &d->bus);

        return r < 0 ? daemon_fail(d, "prepare D-Bus", r) : 0;
}

static int daemon_write_pid(struct daemon *d)
{
        const char *path = d->options->pid_file;
        char visible[256];
        int r = path ? pid_file_write(path, &d->pid_file) : 0;

        if (r < 0)
                daemon_complain(d, "cannot write pid file %s: %s",
                                text_visible(path, visible, sizeof(visible)), strerrordesc_np(-r));
        return r;
}

/* What the operator asked for and cannot be had does not become right by trying again. */
static int daemon_refuse(struct daemon *d, const struct log_record *record, int error)
{
        daemon_complain_record(d, record);
        d->exit_status = EXIT_USAGE;
        return error;
}

/* The last thing before clients are let in: what the start took is locked, too. */
static int daemon_settle_real_time(struct daemon *d)
{
        const struct options *o = d->options;
        struct config_place where = {.line = 0};
        char error[OPTIONS_ERROR_MAX];
        struct log_record record;
        rlim_t limit;
        size_t needed;
        int r;

        real_time_start(&d->real_time, d->engine, o->engine.n_workers);
        r = real_time_check(&d->real_time, o, error, &where);
        if (r < 0) {
                message_config_refused(&record, error, &where);
                return daemon_refuse(d, &record, r);
        }
        r = o->engine.real_time ? real_time_lock(&d->real_time) : 0;
        if (r < 0) {
                real_time_needed(&needed, &limit);
                message_not_locked(&record, r, needed, limit);
                return daemon_refuse(d, &record, r);
        }
        if (o->engine.real_time || real_time_is_scheduled(&d->real_time)) {
                message_real_time(&record, &d->real_time, &o->engine);
                report_record(d->report, &record);
        }
        return 0;
}

static int daemon_start(struct daemon *d, const struct passed_sockets *passed)
{
        int r;

        d->on_terminal = !d->options->daemonize && (isatty(STDIN_FILENO) || isatty(STDERR_FILENO));
        d->max_files = raise_file_limit();
        block_signals();
        r = sd_event_new(&d->loop);
        if (r >= 0)
                r = daemon_watch_signals(d);
        if (r >= 0)
                r = notify_new(&d->notify);
        if (r < 0)
                return daemon_fail(d, "make the event loop", r);
        r = daemon_start_log(d);
        if (r >= 0)
                r = daemon_make_engine(d);
        if (r >= 0)
                r = daemon_open_sockets(d, passed);
        daemon_make_control(d);
        if (r >= 0)
                r = daemon_watch_over(d);
        if (r >= 0)
                r = daemon_start_engine(d);
        if (r >= 0)
                r = daemon_join_dbus(d);
        if (r >= 0)
                r = daemon_write_pid(d);
        return r < 0 ? r : daemon_settle_real_time(d);
}

/* --- The end --- */

static void daemon_finish(struct daemon *d)
{
        struct engine_event event;
        struct log_record record;
        bool warned;

        message_stopping(&record, d->stop_signal ? d->stop_signal : "an error");
        report_record(d->report, &record);
        notify_tell(d->notify, "STOPPING=1\nSTATUS=Stopping");
        d->bus = bus_free(d->bus);
        sockets_done(&d->sockets);
        own_file_remove(&d->pid_file);
        restore_signals();
        warned = engine_warn(d->engine) == 0;
        if (warned)
                (void)nanosleep(&(struct timespec){.tv_nsec = STOP_GRACE}, NULL);
        engine_stop(d->engine, !warned);
        while (engine_event_next(d->engine, &event) > 0)
                report_engine_event(d->report, &event);
        broker_rpc_finish(d->rpc);
}

static void daemon_done(struct daemon *d)
{
        sockets_done(&d->sockets);
        own_file_remove(&d->pid_file);
        bus_free(d->bus);
        watchdog_free(d->watchdog);
        status_line_free(d->status_line);
        sd_event_source_disable_unref(d->rpc_errands);
        sd_event_source_disable_unref(d->engine_events);
        engine_free(d->engine);
        broker_rpc_free(d->rpc);
        control_done(&d->control);
        notify_free(d->notify);
        report_free(d->report);
        log_free(d->log);
        sd_event_unref(d->loop);
}

int daemon_run(const struct options *options, const struct passed_sockets *passed, int ready_fd)
{
        _cleanup_(daemon_done) struct daemon d = {.options = options, .exit_status = EXIT_FAILURE};
        _cleanup_close_ int ready = ready_fd;
        int r = daemon_start(&d, passed);

        if (r < 0)
                return d.exit_status;
        status_line_ready(d.status_line);
        if (ready >= 0)
                background_ready(TAKE_FD(ready));
        log_release(d.log, false);
        r = sd_event_loop(d.loop);
        daemon_finish(&d);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
