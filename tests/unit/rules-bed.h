/* SPDX-License-Identifier: Apache-2.0 */
/* An engine with access rules from a text, as if it stood in file "f", and what its tests ask. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "bed.h"
#include "config/access.h"
#include "engine/internal.h"

static inline struct access_rules *rules_of(const char *text)
{
        struct access_rules *rules = NULL;
        struct config config = {0};
        char error[CONFIG_ERROR_MAX] = "";
        int r = config_add_text(&config, "f", text, strlen(text), error);

        if (r == 0)
                r = access_read_config(&config, &access_resolver_system, NULL, NULL, &rules, error);
        if (r < 0)
                print_error("%s\n", error);
        assert_int_equal(r, 0);
        config_done(&config);
        return rules;
}

static inline void open_with_rules(struct bed *bed, const char *text)
{
        struct engine_config config;

        bed_config(&config);
        config.access = rules_of(text);
        bed_open(bed, &config);
        access_rules_unref(config.access); /* the engine has its own */
        bed->config.access = NULL;
}

/* New rules; NULL: none. */
static inline void change_rules(struct bed *bed, const char *text)
{
        struct engine_config config = bed->config;

        config.access = text ? rules_of(text) : NULL;
        assert_int_equal(engine_configure(bed->engine, &config), 0);
        access_rules_unref(config.access);
}

static inline bool no_event(struct bed *bed, enum engine_event_type type)
{
        struct engine_event ev;
        bool none = true;

        while (engine_event_next(bed->engine, &ev) > 0)
                none &= ev.type != type;
        return none;
}

static inline size_t n_subscriptions(struct bed *bed, const char *name)
{
        return registry_find(&bed->engine->registry, name, strlen(name))
                ->subscriber.n_subscriptions;
}
