/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of busrtctl share. Each family of verbs is one file, verb-X.c; main.c has the
 * table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <busrt/client.h>

/* The options before the verb. */
struct settings {
        const char *address; /* NULL: the default */
        const char *name;    /* of this client; NULL: busrtctl.HOST.PID */
        uint64_t timeout;    /* microseconds */
        bool json;           /* --json */
        bool color;          /* stdout is a terminal, and NO_COLOR and --no-color are not there */
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
int verb_ping(const struct settings *settings, int argc, char **argv);

/* --- connection.c --- */

/* Connects, or says on stderr what is wrong and what to do about it. 0 or -errno. */
int connect_broker(const struct settings *settings, busrt_client **ret);
/* "busrtctl: what: text of error", with advice where there is some. Returns EXIT_FAILURE. */
int fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a wrong command line: points to --help. Returns 2. */
int usage_error(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Set by SIGINT, SIGTERM (and SIGPIPE on stdout ends the program quietly): verbs that go on end
 * with what they have. */
bool interrupted(void);

static inline void busrt_client_freep(busrt_client **client)
{
        busrt_client_free(*client);
}
