/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of busrtctl share. Each family of verbs is one file, verb-X.c; main.c has the
 * table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <busrt/client.h>

#include "basic/clock.h"

#define EXIT_USAGE 2

/* The options before the verb. */
enum bus_choice {
        BUS_AUTO,
        BUS_SYSTEM, /* --system: the system's broker */
        BUS_USER,   /* --user: that of this user's service manager */
};

struct settings {
        const char *address;  /* NULL: the default */
        const char *instance; /* --instance: busrtd@NAME's; NULL: none */
        enum bus_choice bus;
        const char *name; /* of this client; NULL: busrtctl.HOST.PID */
        uint64_t timeout; /* microseconds */
        bool no_ask_password;
        bool json;  /* --json */
        bool color; /* stdout is a terminal, and NO_COLOR and --no-color are not there */
};

/* argv[0] is the verb; returns the exit status. Each verb parses its own options and prints its own
 * usage errors with usage_error(). */
int verb_listen(const struct settings *settings, int argc, char **argv);
int verb_send(const struct settings *settings, int argc, char **argv);
int verb_broadcast(const struct settings *settings, int argc, char **argv);
int verb_publish(const struct settings *settings, int argc, char **argv);
int verb_rpc(const struct settings *settings, int argc, char **argv);
int verb_clients(const struct settings *settings, int argc, char **argv);
int verb_stats(const struct settings *settings, int argc, char **argv);
int verb_info(const struct settings *settings, int argc, char **argv);
int verb_status(const struct settings *settings, int argc, char **argv);
int verb_list(const struct settings *settings, int argc, char **argv);
int verb_show(const struct settings *settings, int argc, char **argv);
int verb_top(const struct settings *settings, int argc, char **argv);
int verb_monitor(const struct settings *settings, int argc, char **argv);
int verb_metrics(const struct settings *settings, int argc, char **argv);
int verb_benchmark(const struct settings *settings, int argc, char **argv);
int verb_ping(const struct settings *settings, int argc, char **argv);
int verb_subscriptions(const struct settings *settings, int argc, char **argv);
int verb_access(const struct settings *settings, int argc, char **argv);
int verb_quota(const struct settings *settings, int argc, char **argv);
int verb_config(const struct settings *settings, int argc, char **argv);
int verb_disconnect(const struct settings *settings, int argc, char **argv);
int verb_reload(const struct settings *settings, int argc, char **argv);
int verb_log_level(const struct settings *settings, int argc, char **argv);
int verb_reset_statistics(const struct settings *settings, int argc, char **argv);

/* Microseconds, monotonic. */
static inline uint64_t now_usec(void)
{
        return clock_nsec(CLOCK_MONOTONIC) / NSEC_PER_USEC;
}

/* --- connection.c --- */

/* Connects, or says on stderr what is wrong and what to do about it. 0 or -errno. */
int connect_broker(const struct settings *settings, busrt_client **ret);
/* The same; tried: what was tried before, and why it failed, said first where this fails, too. */
int connect_broker_after(const struct settings *settings, const char *tried, busrt_client **ret);
#define SYSTEM_SOCKET "/run/busrt/bus.sock"
/* Of the user's own broker, to be freed. -ENXIO: $XDG_RUNTIME_DIR is not set. */
int user_socket(char **ret);
/* The path of a UNIX socket; else HOST:PORT. */
bool address_is_path(const char *address);
/* "busrtctl: what: text of error", with advice where there is some. error: negative or positive; 0:
 * without a text. Returns EXIT_FAILURE. */
int fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As fail(error, "WHAT \"TEXT\""), where the broker judges a name, topic or mask: a long one is
 * cut, and where it is malformed, the limit is told that it is over. */
int fail_about(int error, const char *what, const char *text);

static inline void busrt_client_freep(busrt_client **client)
{
        busrt_client_free(*client);
}

/* --- interrupt.c --- */

/* From here on the first SIGINT or SIGTERM only makes interrupted() true; a second one kills, as
 * ever. For verbs that go on until they are told to stop. 0 or -errno. */
int catch_interrupts(void);
/* The same for SIGHUP and SIGQUIT, too, where something is to be put in order: the second signal
 * calls last, which a handler may, before it kills. */
int catch_all_interrupts(void (*last)(void));
bool interrupted(void);
/* Readable once interrupted() is true, for a poll(2) of one's own. */
int interrupt_fd(void);
/* Waits until busrt_client_process() has something to do. 1; 0 when the time (microseconds from
 * now) is up; -EINTR when interrupted() is true. Processes nothing. */
int wait_client(busrt_client *client, uint64_t timeout);
/* Processes until the time (microseconds, monotonic) has come, or *done is true; done may be NULL.
 * 0; -EINTR when interrupted(), or the connection's error. */
int process_until(busrt_client *client, uint64_t end, const bool *done);

/* --- arguments.c --- */

/* "busrtctl VERB: what", and where to read on. verb may be NULL. Returns EXIT_USAGE. */
int usage_error(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0, or the same where a value is empty, as that of a variable that is not set is. what: how it is
 * called in the verb's help. */
int check_given(const char *verb, const char *what, const char *value);
/* The same for what getopt_long(3) returned as '?' or ':'; start the option string with ':' (or
 * "+:") and nothing is printed twice. */
int option_error(const char *verb, int c, char **argv);
/* Prints a text of --help; lines that begin in the first column and end with ':' are headings.
 * Returns the exit status. */
int print_help(const struct settings *settings, const char *text);
/* Outputs untouched on failure: -EINVAL, -ERANGE. */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
/* Seconds, with a fraction ("0.5"), or with a unit: us, ms, s, m, h. More than 0. */
int parse_time(const char *text, uint64_t *ret_usec);
/* no, processed, realtime, realtime-processed */
int parse_qos(const char *text, unsigned *ret);
/* Flushes stdout. status, or EXIT_FAILURE with a message when something could not be written. */
int finish_output(int status);

/* --- Colours: "" where there are none --- */

#define ANSI_RESET "\033[0m"
#define ANSI_BOLD "\033[1m"
#define ANSI_DIM "\033[2m"
#define ANSI_RED "\033[31m"
#define ANSI_GREEN "\033[32m"
#define ANSI_YELLOW "\033[33m"
#define ANSI_BLUE "\033[34m"
#define ANSI_MAGENTA "\033[35m"
#define ANSI_CYAN "\033[36m"

static inline const char *ansi(const struct settings *settings, const char *code)
{
        return settings->color ? code : "";
}
