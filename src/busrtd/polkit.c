/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query is a call that waits: for the D-Bus daemon, which knows whose it is, then for polkit,
 * which may ask a person for a password. It ends with its answer, with its sender, or with its
 * connection.
 */
#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/bus-peer.h"
#include "busrtd/polkit.h"

#define AUTHORITY "org.freedesktop.PolicyKit1"
#define AUTHORITY_PATH "/org/freedesktop/PolicyKit1/Authority"
#define AUTHORITY_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define ALLOW_INTERACTION 1U

/* So that nobody can take all. Until D-Bus has said whose a query is, it may be root's: so there is
 * room for more than a user can have there (256 connections, 16 of each). */
#define QUERIES_MAX 8192
#define QUERIES_PER_SENDER_MAX 16
#define QUERIES_AT_POLKIT_MAX 128 /* D-Bus lets one connection watch 512 */
#define QUERIES_PER_USER_MAX 32   /* at polkit */

#define PATIENCE (25 * NSEC_PER_SEC)
#define PATIENCE_FOR_PEOPLE (300 * NSEC_PER_SEC) /* who are asked for a password */

enum answer {
        ANSWER_NONE, /* yet */
        ANSWER_OWNER,
        ANSWER_YES,
        ANSWER_NO,
        ANSWER_CHALLENGE, /* with a password, perhaps */
};

struct query {
        LIST_ENTRY(query) link;
        struct polkit *polkit;
        sd_bus_message *message;
        sd_bus_message_handler_t handler;
        void *userdata;
        sd_bus_slot *watch, *call;
        uint64_t number; /* polkit's cancellation id */
        bool at_polkit;
        enum answer answer;
        const char *why; /* not */
        bool has_uid;
        uid_t uid;
        pid_t pid;
        bool has_owner;
        uid_t owner;
        const char *action;
        char client[1025];
};

struct polkit {
        struct report *report;
        bool ask;
        const char *bus_name;
        uint64_t next_number;
        size_t n_queries, n_at_polkit;
        LIST_HEAD(query_list, query) queries;
};

int polkit_new(struct report *report, bool ask, const char *bus_name, struct polkit **ret)
{
        struct polkit *polkit = calloc(1, sizeof(*polkit));

        if (!polkit)
                return -ENOMEM;
        polkit->report = report;
        polkit->ask = ask;
        polkit->bus_name = bus_name;
        LIST_INIT(&polkit->queries);
        *ret = polkit;
        return 0;
}

static struct query *query_free(struct query *q)
{
        if (!q)
                return NULL;
        LIST_REMOVE(q, link);
        q->polkit->n_queries--;
        if (q->at_polkit)
                q->polkit->n_at_polkit--;
        sd_bus_slot_unref(q->call);
        sd_bus_slot_unref(q->watch);
        sd_bus_message_unref(q->message);
        free(q);
        return NULL;
}

void polkit_forget_all(struct polkit *polkit)
{
        struct query *q;

        while ((q = LIST_FIRST(&polkit->queries)))
                query_free(q);
}

struct polkit *polkit_free(struct polkit *polkit)
{
        if (!polkit)
                return NULL;
        polkit_forget_all(polkit);
        free(polkit);
        return NULL;
}

/* The handler runs again, and finds the answer in polkit_check(). */
static void query_finish(struct query *q, enum answer answer, const char *why)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        q->answer = answer;
        q->why = why;
        r = sd_bus_message_rewind(q->message, true);
        if (r >= 0)
                r = q->handler(q->message, q->userdata, &error);
        if (r < 0 || sd_bus_error_is_set(&error))
                (void)sd_bus_reply_method_errno(q->message, r, &error);
        query_free(q);
}

static bool is_connection_lost(sd_bus_message *answer)
{
        return sd_bus_is_open(sd_bus_message_get_bus(answer)) <= 0;
}

/* --- polkit --- */

static void query_cancel(struct query *q)
{
        char id[32];

        if (!q->at_polkit)
                return;
        (void)snprintf(id, sizeof(id), "busrtd-%" PRIu64, q->number);
        (void)sd_bus_call_method_async(sd_bus_message_get_bus(q->message), NULL, AUTHORITY,
                                       AUTHORITY_PATH, AUTHORITY_INTERFACE,
                                       "CancelCheckAuthorization", NULL, NULL, "s", id);
}

static int on_authorization(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct query *q = userdata;
        int authorized = 0, challenge = 0;
        const sd_bus_error *e = sd_bus_message_get_error(m);

        if (is_connection_lost(m))
                query_free(q);
        else if (e) {
                if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) ||
                    sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT))
                        query_cancel(q);
                query_finish(q, ANSWER_NO, e->message ? e->message : e->name);
        } else if (sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "bba{ss}") < 0 ||
                   sd_bus_message_read(m, "bb", &authorized, &challenge) < 0)
                query_finish(q, ANSWER_NO, "polkit's answer cannot be read");
        else if (authorized)
                query_finish(q, ANSWER_YES, NULL);
        else if (challenge)
                query_finish(q, ANSWER_CHALLENGE, "polkit wants a password first");
        else
                query_finish(q, ANSWER_NO, "polkit does not allow it");
        return 1;
}

static int on_sender_gone(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct query *q = userdata;

        query_cancel(q);
        query_free(q);
        return 0;
}

/* If not, it ends by its answers alone. */
static int on_watched(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        return 1;
}

static int query_ask_polkit(struct query *q)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        bool people = sd_bus_message_get_allow_interactive_authorization(q->message) > 0;
        char id[32];
        int r;

        (void)snprintf(id, sizeof(id), "busrtd-%" PRIu64, q->number);
        r = sd_bus_message_new_method_call(sd_bus_message_get_bus(q->message), &m, AUTHORITY,
                                           AUTHORITY_PATH, AUTHORITY_INTERFACE,
                                           "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                          sd_bus_message_get_sender(q->message), q->action, 2,
                                          "bus", q->polkit->bus_name, "client", q->client,
                                          people ? ALLOW_INTERACTION : 0, id);
        /* Whoever has gone before that is not known to polkit, either. */
        if (r >= 0)
                r = bus_peer_watch(sd_bus_message_get_bus(q->message),
                                   sd_bus_message_get_sender(q->message), on_sender_gone,
                                   on_watched, q, &q->watch);
        if (r >= 0)
                r = sd_bus_call_async(sd_bus_message_get_bus(q->message), &q->call, m,
                                      on_authorization, q,
                                      (people ? PATIENCE_FOR_PEOPLE : PATIENCE) / NSEC_PER_USEC);
        if (r < 0)
                return r;
        q->at_polkit = true;
        q->polkit->n_at_polkit++;
        return 0;
}

static size_t count_at_polkit(const struct polkit *polkit, uid_t uid)
{
        const struct query *q;
        size_t n = 0;

        LIST_FOREACH (q, &polkit->queries, link)
                if (q->at_polkit && q->uid == uid)
                        n++;
        return n;
}

/* --- Whose call it is --- */

static void query_judge(struct query *q)
{
        if (q->uid == 0 || q->uid == geteuid())
                query_finish(q, ANSWER_YES, NULL);
        else if (q->has_owner && q->uid == q->owner)
                query_finish(q, ANSWER_OWNER, NULL);
        else if (!q->polkit->ask)
                query_finish(q, ANSWER_NO, "only the broker's own user may");
        else if (count_at_polkit(q->polkit, q->uid) >= QUERIES_PER_USER_MAX)
                query_finish(q, ANSWER_NO, "this user has too many questions open at polkit");
        else if (q->polkit->n_at_polkit >= QUERIES_AT_POLKIT_MAX)
                query_finish(q, ANSWER_NO, "too many questions are open at polkit");
        else if (query_ask_polkit(q) < 0)
                query_finish(q, ANSWER_NO, "polkit cannot be asked");
}

static int on_credentials(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct query *q = userdata;
        int r;

        if (is_connection_lost(m)) {
                query_free(q);
                return 1;
        }
        q->call = sd_bus_slot_unref(q->call);
        r = bus_peer_read_credentials(m, &q->uid, &q->pid);
        q->has_uid = r >= 0;
        if (r >= 0)
                query_judge(q);
        else
                query_finish(q, ANSWER_NO, "D-Bus does not say whose call it is");
        return 1;
}

/* --- The check --- */

static struct query *find_query(const struct polkit *polkit, const sd_bus_message *m)
{
        struct query *q;

        LIST_FOREACH (q, &polkit->queries, link)
                if (q->message == m)
                        return q;
        return NULL;
}

static size_t count_of_sender(const struct polkit *polkit, const char *sender)
{
        const struct query *q;
        size_t n = 0;

        LIST_FOREACH (q, &polkit->queries, link)
                if (strcmp(sd_bus_message_get_sender(q->message), sender) == 0)
                        n++;
        return n;
}

static int query_new(struct polkit *polkit, sd_bus_message *m, sd_bus_message_handler_t handler,
                     void *userdata, const struct polkit_request *request, struct query **ret)
{
        struct query *q = calloc(1, sizeof(*q));

        if (!q)
                return -ENOMEM;
        q->polkit = polkit;
        q->message = sd_bus_message_ref(m);
        q->handler = handler;
        q->userdata = userdata;
        q->number = polkit->next_number++;
        q->has_owner = request->has_owner;
        q->owner = request->owner;
        q->action = request->admin.action;
        (void)strlcpy(q->client, request->admin.client, sizeof(q->client));
        LIST_INSERT_HEAD(&polkit->queries, q, link);
        polkit->n_queries++;
        *ret = q;
        return 0;
}

static int query_start(struct polkit *polkit, sd_bus_message *m, sd_bus_message_handler_t handler,
                       void *userdata, const struct polkit_request *request, sd_bus_error *error)
{
        const char *sender = sd_bus_message_get_sender(m);
        struct query *q;
        int r;

        if (!sender)
                return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "nobody has sent this");
        if (polkit->n_queries >= QUERIES_MAX ||
            count_of_sender(polkit, sender) >= QUERIES_PER_SENDER_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "too many calls wait for an authorization");
        r = query_new(polkit, m, handler, userdata, request, &q);
        if (r < 0)
                return r;
        r = bus_peer_ask_credentials(sd_bus_message_get_bus(m), sender, on_credentials, q,
                                     &q->call);
        if (r < 0)
                query_free(q);
        return r < 0 ? r : 0;
}

static void fill_request(struct polkit_request *request, const struct query *q)
{
        request->admin.sender = sd_bus_message_get_sender(q->message);
        request->admin.has_uid = q->has_uid;
        request->admin.uid = q->uid;
        request->admin.pid = q->pid;
}

static int deny(struct polkit *polkit, const struct polkit_request *request, enum answer answer,
                const char *why, sd_bus_error *error)
{
        struct log_record record;
        char key[64];

        (void)snprintf(key, sizeof(key), "user %u on D-Bus", (unsigned)request->admin.uid);
        message_denied(&record, &request->admin, why);
        report_limited(polkit->report, key, &record);
        return sd_bus_error_setf(error,
                                 answer == ANSWER_CHALLENGE
                                         ? SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
                                         : SD_BUS_ERROR_ACCESS_DENIED,
                                 "you may not %s: %s", request->admin.what, why);
}

int polkit_check(struct polkit *polkit, sd_bus_message *m, sd_bus_message_handler_t handler,
                 void *userdata, struct polkit_request *request, sd_bus_error *error)
{
        struct query *q = find_query(polkit, m);

        if (!q)
                return query_start(polkit, m, handler, userdata, request, error);
        fill_request(request, q);
        /* Whom it is about may be another by now, by the same name. */
        if (q->answer == ANSWER_YES ||
            (q->answer == ANSWER_OWNER && request->has_owner && request->owner == q->uid))
                return 1;
        return deny(polkit, request, q->answer, q->why ? q->why : "it is somebody else's now",
                    error);
}

void polkit_tell_granted(struct polkit *polkit, const struct polkit_request *request)
{
        struct log_record record;

        message_granted(&record, &request->admin);
        report_record(polkit->report, &record);
}
