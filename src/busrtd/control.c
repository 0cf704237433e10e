/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reload reads the files into options of their own first. Only when all of them are right, and
 * the engine has taken its part, do they take the place of those in force.
 */
#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>

#include "access/rules.h"
#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/control.h"
#include "busrtd/messages.h"
#include "busrtd/text.h"

void control_init(struct control *c, const struct options *options)
{
        *c = (struct control){
                .options = options,
                .started_with = options,
                .started_at = clock_nsec(CLOCK_REALTIME),
        };
}

void control_done(struct control *c)
{
        options_done(&c->reloaded);
}

/* --- Settings --- */

struct setting_walk {
        int (*fn)(const char *key, const char *value, const char *file, unsigned line,
                  void *userdata);
        void *userdata;
        bool at_start; /* those are wanted */
};

static int pass_setting(const struct option_setting *s, void *userdata)
{
        struct setting_walk *walk = userdata;

        return s->at_start == walk->at_start
                       ? walk->fn(s->key, s->value, s->file, s->line, walk->userdata)
                       : 0;
}

int control_foreach_setting(struct control *c,
                            int (*fn)(const char *key, const char *value, const char *file,
                                      unsigned line, void *userdata),
                            void *userdata)
{
        struct setting_walk walk = {fn, userdata, true};
        int r = options_foreach_setting(c->started_with, pass_setting, &walk);

        if (r != 0)
                return r;
        walk.at_start = false;
        return options_foreach_setting(c->options, pass_setting, &walk);
}

/* --- Reload --- */

#define PATIENCE NSEC_PER_SEC

#define CHANGES_MAX 480

/* "QueueFrames 8192 -> 100, Listen takes effect at the next start" */
struct changes {
        const struct control *control;
        const struct options *after;
        const char *key; /* compared last: Listen= comes once for each address */
        char text[CHANGES_MAX];
};

/* All that a key says, since Listen= may be there several times. */
struct key_value {
        const char *key;
        char value[4096];
};

static int collect_value(const struct option_setting *s, void *userdata)
{
        struct key_value *kv = userdata;
        char visible[256];

        if (strcmp(s->key, kv->key) != 0)
                return 0;
        if (kv->value[0])
                (void)strlcat(kv->value, " ", sizeof(kv->value));
        (void)strlcat(kv->value, text_visible(s->value, visible, sizeof(visible)),
                      sizeof(kv->value));
        return 0;
}

static void note_change(struct changes *changes, const struct option_setting *s,
                        const struct key_value *before, const struct key_value *after)
{
        size_t len = strlen(changes->text);
        const char *comma = len ? ", " : "";

        if (s->at_start)
                (void)snprintf(changes->text + len, sizeof(changes->text) - len,
                               "%s%s takes effect at the next start", comma, s->key);
        else
                (void)snprintf(changes->text + len, sizeof(changes->text) - len, "%s%s %s -> %s",
                               comma, s->key, before->value, after->value);
}

static int compare_setting(const struct option_setting *s, void *userdata)
{
        struct changes *changes = userdata;
        struct key_value before = {.key = s->key}, after = {.key = s->key};

        if (s->key == changes->key)
                return 0;
        changes->key = s->key;
        (void)options_foreach_setting(s->at_start ? changes->control->started_with
                                                  : changes->control->options,
                                      collect_value, &before);
        (void)options_foreach_setting(changes->after, collect_value, &after);
        if (strcmp(before.value, after.value) != 0)
                note_change(changes, s, &before, &after);
        return 0;
}

static void take(struct control *c, struct options *fresh)
{
        struct options old = c->reloaded;

        c->reloaded = *fresh;
        *fresh = old;
        c->options = &c->reloaded;
        sockets_set_limits(c->sockets, &c->options->engine);
}

/* Where there are rules, or were. */
static void tell_access(struct control *c, bool there_were)
{
        const struct access_rules *rules = c->options->engine.access;
        struct log_record record;

        if (!there_were && access_rules_n_sections(rules) == 0)
                return;
        message_access_rules(&record, rules);
        report_record(c->report, &record);
}

static void look_at_nothing(struct engine *engine, void *userdata)
{
}

/* The worker takes one request after the other: a visit is made under the new configuration. One
 * that stands still takes it later. */
static void wait_until_taken(struct control *c)
{
        (void)engine_inspect(c->engine, look_at_nothing, NULL, PATIENCE);
}

static int try_reload(struct control *c, char error[CONTROL_ERROR_MAX], struct config_place *where)
{
        _cleanup_(options_done) struct options fresh = {0};
        struct changes changes = {.control = c, .after = &fresh};
        bool there_were = access_rules_n_sections(c->options->engine.access) > 0;
        struct log_record record;
        int r = options_read_again(c->started_with, &fresh, error, where);

        if (r < 0)
                return r;
        real_time_look(c->real_time, c->engine);
        r = real_time_check(c->real_time, &fresh, error, where);
        if (r < 0)
                return r;
        r = engine_configure(c->engine, &fresh.engine);
        if (r < 0)
                return r;
        (void)options_foreach_setting(&fresh, compare_setting, &changes);
        take(c, &fresh);
        wait_until_taken(c);
        control_warn_of_unknown_keys(c->report, c->options);
        message_reloaded(&record, changes.text[0] ? changes.text : "no setting has changed");
        report_record(c->report, &record);
        tell_access(c, there_were);
        if (c->on_reloaded)
                c->on_reloaded(c->reloaded_userdata);
        return 0;
}

void control_warn_of_unknown_keys(struct report *report, const struct options *options)
{
        const struct config_entry *entry;
        struct log_record record;
        size_t i = 0;

        while ((entry = options_next_unknown(options, &i))) {
                message_unknown_key(&record, entry);
                report_limited(report, entry->file, &record);
        }
}

int control_reload(struct control *c, char error[CONTROL_ERROR_MAX])
{
        struct config_place where = {.line = 0};
        struct log_record record;
        int r;

        notify_tell(c->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                    clock_nsec(CLOCK_MONOTONIC) / NSEC_PER_USEC);
        error[0] = '\0';
        r = try_reload(c, error, &where);
        if (r < 0) {
                if (!error[0])
                        (void)strlcpy(error, strerrordesc_np(-r), CONTROL_ERROR_MAX);
                message_not_reloaded(&record, error, &where);
                report_record(c->report, &record);
        }
        notify_tell(c->notify, "READY=1");
        return r;
}

/* --- The log --- */

void control_set_log_level(struct control *c, int priority)
{
        log_set_max_priority(c->log, priority);
}

int control_log_level(const struct control *c)
{
        return log_max_priority(c->log);
}

static const char *const level_names[] = {
        [LOG_ERR] = "err",   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

const char *control_log_level_name(int priority)
{
        return level_names[MIN(MAX(priority, LOG_ERR), LOG_DEBUG)];
}

int control_log_level_find(const char *name)
{
        for (int i = LOG_ERR; i <= LOG_DEBUG; i++)
                if (strcmp(level_names[i], name) == 0)
                        return i;
        return -EINVAL;
}
