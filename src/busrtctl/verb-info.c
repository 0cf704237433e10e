/* SPDX-License-Identifier: Apache-2.0 */
/* busrtctl info: which broker this is. */
#include <getopt.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/reply.h"

static const char help[] = "Usage: busrtctl [OPTION]... info [OPTION]...\n"
                           "\n"
                           "Says which broker this is: its address, author and version.\n"
                           "\n"
                           "Options:\n"
                           "      --json   the broker's answer as JSON\n"
                           "  -h, --help   this text\n";

static void print_field(const struct settings *settings, const char *name, const char *value)
{
        _cleanup_free_ char *visible = text_visible(value);

        (void)printf("%s%-8s%s %s\n", ansi(settings, ANSI_BOLD), name, ansi(settings, ANSI_RESET),
                     visible ? visible : "?");
}

static int print_info(const struct settings *settings, const char *address,
                      const busrt_frame *reply)
{
        static const struct {
                const char *name, *key;
        } fields[] = {{"Author", "author"}, {"Version", "version"}};
        _cleanup_(msgpack_unpacked_destroy) msgpack_unpacked info;

        msgpack_unpacked_init(&info);
        if (unpack_reply(reply, &info) < 0)
                return fail(0, "the broker's answer is not MessagePack");
        print_field(settings, "Address", address ? address : "?");
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                _cleanup_free_ char *copy = NULL;
                const char *value;
                size_t len;

                if (busrt_map_get_string(&info.data, fields[i].key, &value, &len) < 0)
                        continue;
                copy = strndup(value, len);
                print_field(settings, fields[i].name, copy ? copy : "?");
        }
        return finish_output(EXIT_SUCCESS);
}

int verb_info(const struct settings *settings, int argc, char **argv)
{
        static const struct option options[] = {
                {"json", no_argument, NULL, 'j'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        _cleanup_(busrt_frame_unrefp) busrt_frame *reply = NULL;
        struct settings own = *settings;
        const void *data;
        size_t len;
        int c;

        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
                if (c == 'h')
                        return print_help(settings, help);
                if (c != 'j')
                        return option_error("info", c, argv);
                own.json = true;
        }
        if (optind < argc)
                return usage_error("info", "it takes no arguments: \"%s\"", argv[optind]);
        if (connect_broker(settings, &client) < 0 ||
            call_method(client, ".broker", "info", NULL, 0, &reply) < 0)
                return EXIT_FAILURE;
        data = busrt_frame_get_payload(reply, &len);
        return own.json ? print_payload(&own, data, len)
                        : print_info(&own, busrt_client_get_address(client), reply);
}
