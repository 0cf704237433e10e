/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of `.broker` (docs/protocol.md, 6). Parameters and results are MessagePack maps.
 *
 * Most are answered on the worker that handles the caller; what that costs is bounded (one step
 * budget for a whole client.list filter). Some of those for an administrator are about the process
 * around the engine: they wait, a bounded number of them, until the host comes by and answers them
 * on a thread of its own.
 */
#pragma once

#include "engine/engine.h"

struct broker_rpc;

int broker_rpc_new(struct broker_rpc **ret);
/* After the engine that it served. Returns NULL. */
struct broker_rpc *broker_rpc_free(struct broker_rpc *rpc);

/* What there is to be said behind the version: "", or that this program can be made to fail. */
const char *broker_rpc_build_note(void);

/* Becomes the engine's service. */
void broker_rpc_attach(struct broker_rpc *rpc, struct engine *engine);

/* --- The host --- */

/* What somebody asked of an administrator's matters. Texts are the peers' own, none is NULL. */
struct broker_rpc_deed {
        const char *action; /* polkit's, "org.busrt1.disconnect" */
        const char *what;   /* completes "may not ..." and "was let ...": `disconnect client "a"` */
        const char *client; /* whom it is about; "" */
        const char *sender; /* the caller's name */
        const char *source; /* its address on TCP; "" */
        bool has_uid;
        uid_t uid;
        pid_t pid; /* 0: not known */
};

struct broker_rpc_setting {
        const char *key, *value;
        const char *file; /* "": built in, or "command line" */
        unsigned line;    /* 0: none */
};

struct broker_rpc_about {
        uint64_t started_at; /* CLOCK_REALTIME, ns */
        uint64_t max_files;
        const char *log_level;
        uint64_t n_access_rules; /* sections */
};

/* What the process around the engine can do. All is called from broker_rpc_process(). Functions
 * that walk go on until fn returns non-zero, which they return. */
struct broker_rpc_host {
        void (*about)(struct broker_rpc_about *ret, void *userdata);
        /* 0, or -errno and one line that says why. */
        int (*reload)(char *error, size_t size, void *userdata);
        /* -EINVAL: no such level. */
        int (*set_log_level)(const char *level, void *userdata);
        /* Every key of the configuration; and only those that are the engine's limits. */
        int (*foreach_setting)(int (*fn)(const struct broker_rpc_setting *setting, void *userdata),
                               void *fn_userdata, bool limits, void *userdata);
        int (*foreach_listener)(int (*fn)(enum transport_kind kind, const char *address,
                                          bool inherited, void *userdata),
                                void *fn_userdata, void *userdata);

        /* To be told in the log. */
        void (*denied)(const struct broker_rpc_deed *deed, const char *why, void *userdata);
        void (*granted)(const struct broker_rpc_deed *deed,
                        void *userdata); /* what changed something */
        void (*missed)(void *userdata);  /* more was denied than could be told */
        void *userdata;
};

/* Before the engine is started. Without a host there are no methods for administrators. */
void broker_rpc_set_host(struct broker_rpc *rpc, const struct broker_rpc_host *host);

/* Readable when there is something for the host to do. */
int broker_rpc_fd(const struct broker_rpc *rpc);
/* Does some of it. A caller that there is no memory for, not even for an error, gets no reply. */
void broker_rpc_process(struct broker_rpc *rpc);
/* At the end: tells what is still to be told, and drops the calls that wait. */
void broker_rpc_finish(struct broker_rpc *rpc);
