/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log, which never makes the bus wait: records go into a bounded ring, and a thread of its own,
 * which may block as long as it likes, writes them out. What finds the ring full, or a journal that
 * is not there, is counted, and the count is told later.
 *
 * One thread submits (the main thread). What is said, and with which MESSAGE_ID, is in messages.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <syslog.h>

struct log_record {
        int priority;           /* as in syslog(3) */
        const char *message_id; /* 32 hexadecimal digits, static */
        bool has_uid, has_gid;
        uid_t uid;
        gid_t gid;
        pid_t pid;        /* 0: not known */
        uint64_t session; /* 0: none */
        bool has_frames;
        uint64_t frames;  /* that wait or were dropped */
        uint64_t records; /* that are missing; 0: none */
        char client[128]; /* as the peer sent it: for the journal's field alone */
        char source[64];
        char listener[256]; /* a path or an address */
        char reason[320];
        char file[256];  /* of the configuration */
        unsigned line;   /* 0: none */
        char action[64]; /* polkit's */
        char sender[64]; /* on D-Bus */
        char text[608];  /* the line for people; nothing in it can disturb a terminal */
};

enum log_target {
        LOG_TARGET_STDERR,
        LOG_TARGET_JOURNAL,
        LOG_TARGET_SYSLOG,
        LOG_TARGET_NONE,
};

/* Where the reference would log, or better: the journal where stderr is connected to it, and
 * instead of syslog where it runs. */
enum log_target log_target_choose(bool verbose, bool daemonize, bool log_syslog);

/* stderr ends in the journal: a line written there is a record without fields. */
bool log_stderr_is_journal(void);

struct log;

/* Records of a priority above `max_priority` (a larger number) are ignored. They are kept back
 * until log_release(). */
int log_new(enum log_target target, int max_priority, struct log **ret);
/* Lets records out. discard: of those that were kept back until now, only warnings and worse. */
void log_release(struct log *log, bool discard);
/* Gives what is in the ring one second to go out. Returns NULL. */
struct log *log_free(struct log *log);

/* From the thread that submits. */
void log_set_max_priority(struct log *log, int max_priority);
int log_max_priority(const struct log *log);
enum log_target log_get_target(const struct log *log);

bool log_wants(const struct log *log, int priority);
void log_submit(struct log *log, const struct log_record *record);
