/* SPDX-License-Identifier: Apache-2.0 */
#include <bsd/string.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "access/rules.h"
#include "basic/macro.h"
#include "broker-rpc/broker-rpc.h"
#include "busrtd/cpus.h"
#include "busrtd/messages.h"
#include "busrtd/options.h"
#include "busrtd/real-time.h"
#include "busrtd/text.h"

#define ID_STARTING "9231c196239848968ceff770c6b39288"
#define ID_DEFAULT_SOCKET "2e7429c245b949eeaece06185bf04af9"
#define ID_LISTENING "bbcbc67c8e164037bfbeaf56ca5d0e94"
#define ID_LIMITS "1192127b785c40388778586e87a7afe1"
#define ID_REAL_TIME "ebb2f25a79604c4f869a5d1ba07a3291"
#define ID_NOT_LOCKED "1b7de33427a9481e993845e7d88e7989"
#define ID_STOPPING "07ba0a2d3c4f4171ac06c5effe172e11"
#define ID_FAILED "997bd66feb3e4868bf10f5ea981a95c3"
#define ID_CONFIG_REFUSED "d9614cefc3254d539090e19c6f52b7f2"
#define ID_UNKNOWN_KEY "895d42261543495496c280e073ad94b8"
#define ID_RELOADED "6ca9b1fe62db429f9848ea2e9602dffa"
#define ID_NOT_RELOADED "0c46bfa4be434082afe9e42cba868e3f"
#define ID_ACCESS_RULES "7a3a71e14c0145ce8874ef36a5747af6"
#define ID_REGISTERED "0d561fc2f060437ead68cae5c7c02675"
#define ID_GONE "8273cc4247344da6aad59e794033faa4"
#define ID_NAME_REFUSED "b9293922472746a48d0bed9f3f00cd77"
#define ID_RULE_REFUSED "ae6ffc5c2dbf44cfb0514c797a1093e8"
#define ID_RULE_GONE "77ca210b2bf74e78a8d391a45d4f98a0"
#define ID_RULE_DENIED "cfd9ed833a0340bf9c965a667f9fcaed"
#define ID_RULE_DROPPED "2ab3d535bda84d70a88bf7ebeb99c569"
#define ID_QUOTA_REFUSED "b4d17a61126a4ec383fb98ac72b9aba4"
#define ID_PROTOCOL_REFUSED "fcadc435923b499da00a9bb23400bcfd"
#define ID_NO_MEMORY "5cd1caab409746a2bfbd9fc58c560ea4"
#define ID_BAD_FRAME "5ce1e8b83dc84958a307a2d98a677859"
#define ID_STRUCK "0ee885a8dfc34b2cbba164b35f1a9597"
#define ID_DROPPED "8fc6fe2b259b435987b2828668fdb115"
#define ID_KEEP_ALIVE "949a06f69cc6416197cb8cce9dba35e7"
#define ID_HANDSHAKE_LATE "5c65dfcaeb9f4e99891eaf062c448a27"
#define ID_BODY_LATE "248aea5ef7b14e7e8058149e5caaf519"
#define ID_BLOCKED "e93ac32921c840888c972f82d23bca61"
#define ID_TAKEOVER "067f9651a53741899548ebeed2790cc8"
#define ID_MEMORY "a283aa9b1b084bb7b1f59bab90993cb0"
#define ID_RESYNC "01668df4dcac4ccea523278d057e2893"
#define ID_ACCEPT_PAUSED "485290ed21c54bf79ddb3f2b8fa65768"
#define ID_ACCEPT_RESUMED "046e87f63c21433dae7d0007aae89e78"
#define ID_CONNECTION_REFUSED "2f2721c8f7b84061ba6a973b305a02aa"
#define ID_FIFO_LINE "1865ba91e12948ed81ca8fbe3c199d77"
#define ID_LISTENER_FAILED "d6a728e83891437485b0557fb03f2fa7"
#define ID_BUS_MISSING "941797fe7a5c475eae71516c71f5bd9e"
#define ID_BUS_TAKEN "773acf7e951f445792845667cb53dfea"
#define ID_BUS_LOST "e9ed5faae7d148dbbfa6b5744d22c712"
#define ID_DENIED "88381eef040f455b93349cc71dabd7fe"
#define ID_GRANTED "54e7ea83a46d44138925b9fff36fc49e"
#define ID_WORKER_STALLED "adb4b3dcf2bc4a3ea0592ec69281fe66"
#define ID_WORKER_RESUMED "bd5cc19ed312478daf8d1c5fe59e4355"
#define ID_SUPPRESSED "d9a5b9203ded4e96bf9c641bfec3925e"
#define ID_RECORDS_LOST "5dc96898b54c47baa18c5fc2fc3f80d7"

_printf_(4, 5) static void say(struct log_record *ret, int priority, const char *message_id,
                               const char *format, ...)
{
        va_list ap;

        *ret = (struct log_record){.priority = priority, .message_id = message_id};
        va_start(ap, format);
        (void)vsnprintf(ret->text, sizeof(ret->text), format, ap);
        va_end(ap);
}

static void set_listener(struct log_record *ret, const char *listener)
{
        (void)strlcpy(ret->listener, listener, sizeof(ret->listener));
}

static void set_reason(struct log_record *ret, const char *reason)
{
        (void)strlcpy(ret->reason, reason, sizeof(ret->reason));
}

/* --- The start and the end --- */

void message_starting(struct log_record *ret)
{
        say(ret, LOG_INFO, ID_STARTING, "busrtd " BUSRT_VERSION "%s starts",
            broker_rpc_build_note());
}

void message_default_socket(struct log_record *ret, const char *path)
{
        char visible[256];

        say(ret, LOG_NOTICE, ID_DEFAULT_SOCKET, "no listener was given (-B): taking %s",
            text_visible(path, visible, sizeof(visible)));
        set_listener(ret, path);
}

static const char *kind_word(enum transport_kind kind)
{
        switch (kind) {
        case TRANSPORT_UNIX:
                return "UNIX";
        case TRANSPORT_TCP:
                return "TCP";
        case TRANSPORT_FIFO:
                return "FIFO";
        case TRANSPORT_INTERNAL:
        case TRANSPORT_MEMORY:
                break;
        }
        return "internal";
}

/* mode: of the file, -1 where there is none. */
void message_listening(struct log_record *ret, enum transport_kind kind, const char *name, int mode,
                       bool inherited)
{
        char visible[256], mode_text[32] = "";

        if (mode >= 0)
                (void)snprintf(mode_text, sizeof(mode_text), ", mode %04o", (unsigned)mode);
        say(ret, LOG_INFO, ID_LISTENING, "%s %s (%s%s%s)",
            kind == TRANSPORT_FIFO ? "reading" : "listening on",
            text_visible(name, visible, sizeof(visible)), kind_word(kind), mode_text,
            inherited ? ", from systemd" : "");
        set_listener(ret, name);
}

static size_t memory_of_user(const struct engine_config *c)
{
        return c->queue_memory_max_per_user ? c->queue_memory_max_per_user
                                            : c->queue_memory_max / 2;
}

void message_limits(struct log_record *ret, const struct engine_config *c, rlim_t max_files)
{
        char timeout[TEXT_NUMBER_MAX], frame[TEXT_NUMBER_MAX], queue[TEXT_NUMBER_MAX],
                memory[TEXT_NUMBER_MAX];
        char length[TEXT_NUMBER_MAX], pace[TEXT_NUMBER_MAX], poll[TEXT_NUMBER_MAX],
                own[TEXT_NUMBER_MAX], rate[64] = "any per second";

        if (c->connection_rate_per_user > 0)
                (void)snprintf(rate, sizeof(rate), "%zu per second after %zu",
                               c->connection_rate_per_user, c->connection_burst_per_user);

        say(ret, LOG_INFO, ID_LIMITS,
            "limits: timeout %s; frame %s; queue %zu frames or %s, all queues %s; slow receivers: "
            "%s after %s; "
            "topic %zu parts, %s; each user: %zu connections, %zu without a name, %s, %zu names, "
            "%zu "
            "subscriptions, queues %s; %llu files; busy polling %s; "
            "force-register %s",
            text_duration(c->timeout, timeout), text_bytes(c->max_frame_size, frame),
            c->queue_frames, text_bytes(c->queue_bytes, queue),
            text_bytes(c->queue_memory_max, memory), options_slow_policy_word(c->slow_policy),
            c->slow_pace ? text_duration(c->slow_pace, pace) : "no wait", c->max_topic_parts,
            text_bytes(c->max_topic_length, length), c->max_connections_per_user,
            c->max_handshakes_per_user, rate, c->max_names_per_user, c->max_subscriptions_per_user,
            text_bytes(memory_of_user(c), own), (unsigned long long)max_files,
            text_duration(c->busy_poll, poll), options_force_register_word(c->force_register));
}

static const char *describe_memory(const struct real_time *rt, const struct engine_config *c,
                                   char *out, size_t size)
{
        char locked[TEXT_NUMBER_MAX], ready[TEXT_NUMBER_MAX];

        if (!c->real_time)
                return "memory is not locked (RealTime=no)";
        (void)snprintf(out, size, "%s of memory locked, %s of buffers ready",
                       text_bytes(rt->locked, locked), text_bytes(c->real_time_reserve, ready));
        return out;
}

void message_real_time(struct log_record *ret, const struct real_time *rt,
                       const struct engine_config *c)
{
        char memory[128], cpus[128], priority[32] = "";
        bool scheduled = real_time_is_scheduled(rt);

        if (scheduled)
                (void)snprintf(priority, sizeof(priority), ", priority %d", rt->priority);
        say(ret, rt->others_too || !scheduled ? LOG_WARNING : LOG_INFO, ID_REAL_TIME,
            "real time: %s; %zu worker%s under %s%s, on CPU %s%s",
            describe_memory(rt, c, memory, sizeof(memory)), rt->n_workers,
            rt->n_workers > 1 ? "s" : "", real_time_policy_name(rt->policy), priority,
            cpus_format(&rt->cpus, cpus, sizeof(cpus)),
            !scheduled ? ": whatever else runs there holds messages up (CPUSchedulingPolicy=fifo)"
            : rt->others_too ? "; the other threads run so, too, since they may not step down "
                               "(SystemCallFilter=sched_setscheduler)"
                             : "");
}

void message_not_locked(struct log_record *ret, int error, size_t needed, rlim_t limit)
{
        char bytes[TEXT_NUMBER_MAX], allowed[TEXT_NUMBER_MAX], advice[160] = "";

        /* Where any limit but 0 is too low, the kernel says so by another error. */
        if (error == -EPERM && limit > 0)
                (void)strlcpy(advice,
                              "let the service call mlockall (SystemCallFilter=@memlock), or ",
                              sizeof(advice));
        else if (limit < needed)
                (void)snprintf(advice, sizeof(advice),
                               "more than %s are wanted, and %s allowed: set LimitMEMLOCK=infinity "
                               "(ulimit -l unlimited), or ",
                               text_bytes(needed, bytes), text_bytes(limit, allowed));
        say(ret, LOG_ERR, ID_NOT_LOCKED,
            "RealTime=yes, but memory cannot be locked: %s; %sset RealTime=no",
            strerrordesc_np(-error), advice);
        set_reason(ret, strerrordesc_np(-error));
}

void message_stopping(struct log_record *ret, const char *signal_name)
{
        say(ret, LOG_INFO, ID_STOPPING, "got %s: stopping", signal_name);
}

void message_failed(struct log_record *ret, const char *text)
{
        say(ret, LOG_ERR, ID_FAILED, "%s", text);
        set_reason(ret, text);
}

/* --- Configuration --- */

static void set_place(struct log_record *ret, const char *file, unsigned line)
{
        (void)strlcpy(ret->file, file, sizeof(ret->file));
        ret->line = line;
}

void message_config_refused(struct log_record *ret, const char *error,
                            const struct config_place *where)
{
        char visible[512];

        say(ret, LOG_ERR, ID_CONFIG_REFUSED, "%s", text_visible(error, visible, sizeof(visible)));
        set_place(ret, where->file, where->line);
        set_reason(ret, error);
}

void message_unknown_key(struct log_record *ret, const struct config_entry *entry)
{
        char file[256], key[128], section[128];

        say(ret, LOG_WARNING, ID_UNKNOWN_KEY,
            "%s:%u: unknown key \"%s\" in section \"%s\": ignored",
            text_visible(entry->file, file, sizeof(file)), entry->line,
            text_visible(entry->key, key, sizeof(key)),
            text_visible(entry->section, section, sizeof(section)));
        set_place(ret, entry->file, entry->line);
}

void message_access_rules(struct log_record *ret, const struct access_rules *rules)
{
        size_t n = access_rules_n_sections(rules);

        if (n == 0)
                say(ret, LOG_NOTICE, ID_ACCESS_RULES,
                    "there are no access rules: everybody may everything");
        else
                say(ret, LOG_INFO, ID_ACCESS_RULES, "access rules: %zu section%s, %zu words", n,
                    n == 1 ? "" : "s", access_rules_n_words(rules));
}

void message_reloaded(struct log_record *ret, const char *changes)
{
        say(ret, LOG_NOTICE, ID_RELOADED, "configuration reloaded: %s", changes);
}

void message_not_reloaded(struct log_record *ret, const char *error,
                          const struct config_place *where)
{
        char visible[512];

        say(ret, LOG_ERR, ID_NOT_RELOADED, "configuration not reloaded, all stays as it was: %s",
            text_visible(error, visible, sizeof(visible)));
        set_place(ret, where->file, where->line);
        set_reason(ret, error);
}

/* --- What the engine tells --- */

struct event_style {
        enum engine_event_type type;
        enum engine_cause cause;
        int priority;
        const char *message_id;
        const char *what; /* after the client's name */
        const char *hint;
};

static const struct event_style event_styles[] = {
        {ENGINE_EVENT_REGISTERED, ENGINE_CAUSE_NONE, LOG_DEBUG, ID_REGISTERED, "registered", ""},
        {ENGINE_EVENT_GONE, ENGINE_CAUSE_NONE, LOG_DEBUG, ID_GONE, "gone", ""},
        {ENGINE_EVENT_GONE, ENGINE_CAUSE_RULE, LOG_WARNING, ID_RULE_GONE,
         "disconnected by new access rules", ""},
        {ENGINE_EVENT_DENIED, ENGINE_CAUSE_NONE, LOG_WARNING, ID_RULE_DENIED, "denied", ""},
        {ENGINE_EVENT_DENIED, ENGINE_CAUSE_RULE, LOG_WARNING, ID_RULE_DROPPED,
         "lost subscriptions to new access rules", ""},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_NAME, LOG_WARNING, ID_NAME_REFUSED, "refused", ""},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_RULE, LOG_WARNING, ID_RULE_REFUSED, "refused", ""},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_QUOTA, LOG_WARNING, ID_QUOTA_REFUSED, "refused", ""},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_PROTOCOL, LOG_WARNING, ID_PROTOCOL_REFUSED, "refused",
         ""},
        {ENGINE_EVENT_REFUSED, ENGINE_CAUSE_NO_MEMORY, LOG_ERR, ID_NO_MEMORY, "refused", ""},
        {ENGINE_EVENT_BAD_FRAME, ENGINE_CAUSE_NONE, LOG_WARNING, ID_BAD_FRAME,
         "disconnected: bad frame", ""},
        {ENGINE_EVENT_STRUCK, ENGINE_CAUSE_NONE, LOG_WARNING, ID_STRUCK, "too slow",
         "; it must read faster, or get a larger --queue-size and --queue-bytes"},
        {ENGINE_EVENT_DROPPED, ENGINE_CAUSE_NONE, LOG_WARNING, ID_DROPPED, "too slow", ""},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_KEEP_ALIVE, LOG_WARNING, ID_KEEP_ALIVE, "disconnected",
         ""},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_HANDSHAKE, LOG_WARNING, ID_HANDSHAKE_LATE,
         "disconnected", ""},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_BODY, LOG_WARNING, ID_BODY_LATE, "disconnected", ""},
        {ENGINE_EVENT_TIMEOUT, ENGINE_CAUSE_BLOCKED, LOG_WARNING, ID_BLOCKED, "disconnected", ""},
        {ENGINE_EVENT_TAKEOVER, ENGINE_CAUSE_NONE, LOG_NOTICE, ID_TAKEOVER, "disconnected", ""},
        {ENGINE_EVENT_MEMORY, ENGINE_CAUSE_NONE, LOG_ERR, ID_MEMORY, "disconnected", ""},
        {ENGINE_EVENT_RESYNC, ENGINE_CAUSE_NONE, LOG_WARNING, ID_RESYNC, NULL, NULL},
};

static const struct event_style *find_style(const struct engine_event *event)
{
        for (size_t i = 0; i < ARRAY_SIZE(event_styles); i++)
                if (event_styles[i].type == event->type && event_styles[i].cause == event->cause)
                        return &event_styles[i];
        return NULL;
}

/* `client "plc.1" (user 1000, process 4711)`; `a client without a name (192.0.2.7:40001)` */
static void describe_client(const struct engine_event *event, char *out, size_t size)
{
        char name[sizeof(event->name)], from[64];

        if (event->kind == TRANSPORT_UNIX && event->pid)
                (void)snprintf(from, sizeof(from), "user %u, process %d", (unsigned)event->uid,
                               (int)event->pid);
        else if (event->kind == TRANSPORT_UNIX)
                (void)snprintf(from, sizeof(from), "user %u", (unsigned)event->uid);
        else
                (void)strlcpy(from, event->source, sizeof(from));
        if (event->name[0])
                (void)snprintf(out, size, "client \"%s\" (%s)",
                               text_visible(event->name, name, sizeof(name)), from);
        else
                (void)snprintf(out, size, "a client without a name (%s)", from);
}

static void fill_fields(struct log_record *ret, const struct engine_event *event)
{
        ret->has_uid = ret->has_gid = event->kind == TRANSPORT_UNIX;
        ret->uid = event->uid;
        ret->gid = event->gid;
        ret->pid = event->pid;
        ret->session = event->id;
        if (event->type == ENGINE_EVENT_STRUCK || event->type == ENGINE_EVENT_DROPPED) {
                ret->has_frames = true;
                ret->frames = event->n_frames;
        }
        (void)strlcpy(ret->client, event->name, sizeof(ret->client));
        (void)strlcpy(ret->source, event->source, sizeof(ret->source));
        set_reason(ret, event->detail);
        set_place(ret, event->file, event->line);
}

static void describe_place(const struct engine_event *event, char *out, size_t size)
{
        char file[sizeof(event->file)];

        (void)snprintf(out, size, " (%s:%u)", text_visible(event->file, file, sizeof(file)),
                       event->line);
}

/* Who is refused and stays was refused a subscription. */
static const char *what_of(const struct engine_event *event, const struct event_style *style)
{
        return event->type == ENGINE_EVENT_REFUSED && !event->over ? "was refused a subscription"
                                                                   : style->what;
}

bool message_event(struct log_record *ret, const struct engine_event *event)
{
        const struct event_style *style = find_style(event);
        char who[256], why[sizeof(event->detail)], frames[48] = "",
                                                   place[sizeof(event->file) + 24] = "";

        if (!style)
                return false;
        if (event->type == ENGINE_EVENT_RESYNC) {
                say(ret, style->priority, style->message_id,
                    "more happened than could be told: records about clients are missing here");
                return true;
        }
        describe_client(event, who, sizeof(who));
        text_visible(event->detail, why, sizeof(why));
        if (event->type == ENGINE_EVENT_STRUCK)
                (void)snprintf(frames, sizeof(frames), " (%" PRIu64 " frames wait)",
                               event->n_frames);
        if (event->type == ENGINE_EVENT_DROPPED)
                (void)snprintf(frames, sizeof(frames), " (%" PRIu64 " frames)", event->n_frames);
        if (event->type == ENGINE_EVENT_REGISTERED)
                why[0] = '\0';
        if (event->line)
                describe_place(event, place, sizeof(place));
        say(ret, style->priority, style->message_id, "%s %s%s%s%s%s%s", who, what_of(event, style),
            why[0] ? ": " : "", why, frames, place, style->hint);
        fill_fields(ret, event);
        return true;
}

/* --- Listeners and FIFOs --- */

void message_accept_paused(struct log_record *ret, const char *listener, int error,
                           rlim_t max_files)
{
        char visible[256], hint[96] = "";

        if (error == -EMFILE)
                (void)snprintf(hint, sizeof(hint), "; the limit is %llu (ulimit -n, LimitNOFILE=)",
                               (unsigned long long)max_files);
        say(ret, LOG_ERR, ID_ACCEPT_PAUSED, "%s on %s: new clients wait%s",
            error == -EMFILE || error == -ENFILE ? "out of file descriptors"
                                                 : strerrordesc_np(-error),
            text_visible(listener, visible, sizeof(visible)), hint);
        set_listener(ret, listener);
        set_reason(ret, strerrordesc_np(-error));
}

void message_accept_resumed(struct log_record *ret, const char *listener)
{
        char visible[256];

        say(ret, LOG_NOTICE, ID_ACCEPT_RESUMED, "new clients are accepted on %s again",
            text_visible(listener, visible, sizeof(visible)));
        set_listener(ret, listener);
}

static const struct {
        int error; /* of engine_adopt() */
        const char *what;
        const char *key;
} over_quota[] = {
        {-EDQUOT, "too many connections", "MaxConnectionsPerUser"},
        {-EUSERS, "too many connections without a name", "MaxHandshakesPerUser"},
        {-EBUSY, "too many connections per second", "ConnectionRatePerUser"},
};

/* True: the peer's user has as much as it may. *ret_reason is a phrase in any case. */
static bool describe_refusal(int error, char *out, size_t size, const char **ret_reason)
{
        for (size_t i = 0; i < ARRAY_SIZE(over_quota); i++)
                if (over_quota[i].error == error) {
                        *ret_reason = over_quota[i].what;
                        (void)snprintf(out, size, "it has %s (%s)", over_quota[i].what,
                                       over_quota[i].key);
                        return true;
                }
        *ret_reason = strerrordesc_np(-error);
        (void)strlcpy(out, *ret_reason, size);
        return false;
}

void message_connection_refused(struct log_record *ret, const char *listener,
                                const struct transport_peer *peer, int error)
{
        char visible[256], who[96], why[128];
        const char *reason;
        bool quota = describe_refusal(error, why, sizeof(why), &reason);

        if (peer->kind == TRANSPORT_UNIX)
                (void)snprintf(who, sizeof(who), "user %u", (unsigned)peer->uid);
        else
                (void)strlcpy(who, peer->source, sizeof(who));
        say(ret, LOG_WARNING, quota ? ID_QUOTA_REFUSED : ID_CONNECTION_REFUSED,
            "connection of %s on %s refused: %s", who,
            text_visible(listener, visible, sizeof(visible)), why);
        ret->has_uid = ret->has_gid = peer->kind == TRANSPORT_UNIX;
        ret->uid = peer->uid;
        ret->gid = peer->gid;
        ret->pid = peer->has_pid ? peer->pid : 0;
        (void)strlcpy(ret->source, peer->source, sizeof(ret->source));
        set_listener(ret, listener);
        set_reason(ret, reason);
}

void message_fifo_line(struct log_record *ret, const char *path, const char *why)
{
        char visible[256];

        say(ret, LOG_WARNING, ID_FIFO_LINE, "a line of FIFO %s was dropped: %s",
            text_visible(path, visible, sizeof(visible)), why);
        set_listener(ret, path);
        set_reason(ret, why);
}

void message_listener_missing(struct log_record *ret, const char *text, const char *listener)
{
        say(ret, LOG_ERR, ID_LISTENER_FAILED, "%s", text);
        set_listener(ret, listener);
        set_reason(ret, text);
}

void message_listener_failed(struct log_record *ret, enum transport_kind kind, const char *listener,
                             const char *why)
{
        char visible[256];

        text_visible(listener, visible, sizeof(visible));
        if (kind == TRANSPORT_FIFO)
                say(ret, LOG_ERR, ID_LISTENER_FAILED, "FIFO %s is read no more: %s", visible, why);
        else
                say(ret, LOG_ERR, ID_LISTENER_FAILED,
                    "nobody can come in on %s any more: %s; restart the broker", visible, why);
        set_listener(ret, listener);
        set_reason(ret, why);
}

/* --- Administration --- */

void message_bus_missing(struct log_record *ret, const char *name, const char *why,
                         bool tried_again)
{
        char visible[256];

        say(ret, LOG_INFO, ID_BUS_MISSING, "%s is not on D-Bus (%s): all else works%s", name,
            text_visible(why, visible, sizeof(visible)),
            tried_again ? ", and it is taken as soon as it can be" : "");
        set_reason(ret, why);
}

void message_bus_taken(struct log_record *ret, const char *name)
{
        say(ret, LOG_INFO, ID_BUS_TAKEN, "managed on D-Bus as %s", name);
}

void message_bus_lost(struct log_record *ret, const char *name, const char *why)
{
        char visible[256];

        say(ret, LOG_WARNING, ID_BUS_LOST,
            "%s is no more on D-Bus (%s): the bus goes on, and the name is taken again as soon as "
            "it can be",
            name, text_visible(why, visible, sizeof(visible)));
        set_reason(ret, why);
}

static void set_request(struct log_record *ret, const struct admin_request *request)
{
        ret->has_uid = request->has_uid;
        ret->uid = request->uid;
        ret->pid = request->pid;
        (void)strlcpy(ret->action, request->action, sizeof(ret->action));
        (void)strlcpy(ret->sender, request->sender, sizeof(ret->sender));
        (void)strlcpy(ret->client, request->client, sizeof(ret->client));
        if (request->source)
                (void)strlcpy(ret->source, request->source, sizeof(ret->source));
}

/* `user 1000, process 4711`; `192.0.2.7:40001` */
static void describe_request(const struct admin_request *request, char *out, size_t size)
{
        if (request->has_uid && request->pid)
                (void)snprintf(out, size, "user %u, process %d", (unsigned)request->uid,
                               (int)request->pid);
        else if (request->has_uid)
                (void)snprintf(out, size, "user %u", (unsigned)request->uid);
        else
                (void)strlcpy(out,
                              request->source && request->source[0] ? request->source : "somebody",
                              size);
}

void message_denied(struct log_record *ret, const struct admin_request *request, const char *why)
{
        char who[64], what[256], visible[256];

        describe_request(request, who, sizeof(who));
        say(ret, LOG_WARNING, ID_DENIED, "%s may not %s: %s", who,
            text_visible(request->what, what, sizeof(what)),
            text_visible(why, visible, sizeof(visible)));
        set_request(ret, request);
        set_reason(ret, why);
}

void message_granted(struct log_record *ret, const struct admin_request *request)
{
        char who[64], what[256];

        describe_request(request, who, sizeof(who));
        say(ret, LOG_NOTICE, ID_GRANTED, "%s was let %s", who,
            text_visible(request->what, what, sizeof(what)));
        set_request(ret, request);
}

/* --- The watchdog --- */

void message_worker_stalled(struct log_record *ret, uint64_t since)
{
        char duration[TEXT_NUMBER_MAX];

        say(ret, LOG_CRIT, ID_WORKER_STALLED,
            "a worker has stood still for %s: the watchdog is not fed any more",
            text_duration(since, duration));
}

void message_worker_resumed(struct log_record *ret, uint64_t since)
{
        char duration[TEXT_NUMBER_MAX];

        say(ret, LOG_NOTICE, ID_WORKER_RESUMED, "the worker goes on, after %s",
            text_duration(since, duration));
}

/* --- The log itself --- */

void message_suppressed(struct log_record *ret, const char *who, uint64_t n, uint64_t frames)
{
        char dropped[64] = "";

        if (frames)
                (void)snprintf(dropped, sizeof(dropped),
                               "; they tell of %" PRIu64 " dropped frames", frames);
        say(ret, LOG_WARNING, ID_SUPPRESSED, "%s: %" PRIu64 " more records in 10 s, not shown%s",
            who, n, dropped);
        ret->has_frames = frames > 0;
        ret->frames = frames;
        ret->records = n;
}

void message_records_lost(struct log_record *ret, uint64_t n)
{
        say(ret, LOG_WARNING, ID_RECORDS_LOST,
            "%" PRIu64 " log records were lost: the log could not be written in time", n);
        ret->records = n;
}

bool message_is_of_lost_records(const struct log_record *record)
{
        return record->message_id && strcmp(record->message_id, ID_RECORDS_LOST) == 0;
}
