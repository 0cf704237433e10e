/* SPDX-License-Identifier: Apache-2.0 */
#include <bsd/string.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "access/rules.h"
#include "busrtd/control-rpc.h"
#include "busrtd/messages.h"

/* --- What is asked --- */

static void on_about(struct broker_rpc_about *ret, void *userdata)
{
        const struct control *c = userdata;

        *ret = (struct broker_rpc_about){
                .started_at = c->started_at,
                .max_files = c->max_files,
                .log_level = control_log_level_name(control_log_level(c)),
                .n_access_rules = access_rules_n_sections(c->options->engine.access),
        };
}

static int on_reload(char *error, size_t size, void *userdata)
{
        char line[CONTROL_ERROR_MAX];
        int r = control_reload(userdata, line);

        if (r < 0)
                (void)strlcpy(error, line, size);
        return r;
}

static int on_set_log_level(const char *level, void *userdata)
{
        int priority = control_log_level_find(level);

        if (priority < 0)
                return priority;
        control_set_log_level(userdata, priority);
        return 0;
}

struct setting_walk {
        int (*fn)(const struct broker_rpc_setting *setting, void *userdata);
        void *userdata;
};

static int pass_setting(const char *key, const char *value, const char *file, unsigned line,
                        void *userdata)
{
        const struct broker_rpc_setting setting = {key, value, file, line};
        const struct setting_walk *walk = userdata;

        return walk->fn(&setting, walk->userdata);
}

/* What can change while it runs is what the engine is limited by. */
static int pass_limit(const struct option_setting *s, void *userdata)
{
        return s->at_start ? 0 : pass_setting(s->key, s->value, s->file, s->line, userdata);
}

static int on_foreach_setting(int (*fn)(const struct broker_rpc_setting *setting, void *userdata),
                              void *fn_userdata, bool limits, void *userdata)
{
        struct control *c = userdata;
        struct setting_walk walk = {fn, fn_userdata};

        return limits ? options_foreach_setting(c->options, pass_limit, &walk)
                      : control_foreach_setting(c, pass_setting, &walk);
}

static int on_foreach_listener(int (*fn)(enum transport_kind kind, const char *address,
                                         bool inherited, void *userdata),
                               void *fn_userdata, void *userdata)
{
        const struct control *c = userdata;

        return sockets_foreach(c->sockets, fn, fn_userdata);
}

/* --- What is told --- */

static struct admin_request request_of(const struct broker_rpc_deed *deed)
{
        return (struct admin_request){.action = deed->action,
                                      .what = deed->what,
                                      .client = deed->client,
                                      .sender = deed->sender,
                                      .source = deed->source,
                                      .has_uid = deed->has_uid,
                                      .uid = deed->uid,
                                      .pid = deed->pid};
}

/* Whose share of the log it takes: names and connections are free to invent. */
static void denied_key(const struct broker_rpc_deed *deed, char *out, size_t size)
{
        char source[64], *port;

        if (deed->has_uid) {
                (void)snprintf(out, size, "calls of user %u", (unsigned)deed->uid);
                return;
        }
        (void)strlcpy(source, deed->source, sizeof(source));
        port = strrchr(source, ':');
        if (port)
                *port = '\0';
        (void)snprintf(out, size, "calls of %s", source);
}

static void on_denied(const struct broker_rpc_deed *deed, const char *why, void *userdata)
{
        const struct control *c = userdata;
        struct admin_request request = request_of(deed);
        struct log_record record;
        char key[96];

        denied_key(deed, key, sizeof(key));
        message_denied(&record, &request, why);
        report_limited(c->report, key, &record);
}

/* Whoever may do it may as well fill the log with it. */
static void on_granted(const struct broker_rpc_deed *deed, void *userdata)
{
        const struct control *c = userdata;
        struct admin_request request = request_of(deed);
        struct log_record record;

        message_granted(&record, &request);
        report_record(c->report, &record);
}

static void on_missed(void *userdata)
{
        const struct control *c = userdata;
        const struct engine_event event = {.type = ENGINE_EVENT_RESYNC};

        report_engine_event(c->report, &event);
}

/* --- The loop --- */

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        broker_rpc_process(userdata);
        return 0;
}

int control_rpc_attach(struct control *control, sd_event *loop, struct broker_rpc *rpc,
                       sd_event_source **ret)
{
        const struct broker_rpc_host host = {
                .about = on_about,
                .reload = on_reload,
                .set_log_level = on_set_log_level,
                .foreach_setting = on_foreach_setting,
                .foreach_listener = on_foreach_listener,
                .denied = on_denied,
                .granted = on_granted,
                .missed = on_missed,
                .userdata = control,
        };

        broker_rpc_set_host(rpc, &host);
        return sd_event_add_io(loop, ret, broker_rpc_fd(rpc), EPOLLIN, on_readable, rpc);
}
