/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives a table out row by row, as programs of the reference's library do it: a cursor for each
 * call.
 *
 *      cursor-server NAME FILE
 *
 *      lines           a cursor over the lines of the file: {n: number, text: line}
 *      N               its next item; nothing at the end
 *      NB              its next items, an array; fewer than were asked for at the end
 *      cancel          no more of it is wanted
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/cursor.h>
#include <busrt/msgpack.h>
#include <busrt/topics.h>

#define UNUSED_FOR_AT_MOST (60 * 1000000ull)

static const busrt_cursor_methods names = {"N", "NB", "cancel"};

/* What one cursor reads. */
struct lines {
        FILE *file;
        char *text;
        size_t size;
        uint64_t number;
};

static void lines_free(void *userdata)
{
        struct lines *lines = userdata;

        if (lines->file)
                fclose(lines->file);
        free(lines->text);
        free(lines);
}

static int put_line(busrt_cursor *cursor, const struct lines *lines)
{
        busrt_params item = BUSRT_PARAMS_INIT;
        const struct iovec *iov;
        int n, r;

        busrt_params_add_uint(&item, "n", lines->number);
        busrt_params_add_string(&item, "text", lines->text);
        n = busrt_params_get(&item, &iov);
        r = n < 0 ? n : busrt_cursor_put(cursor, iov, (size_t)n);
        busrt_params_done(&item);
        return r;
}

/* One line is as many as this gives at a time: it is asked again until there are enough. */
static int lines_next(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        struct lines *lines = userdata;
        ssize_t len;
        int r;

        errno = 0;
        len = getline(&lines->text, &lines->size, lines->file);
        if (len < 0)
                return errno ? -errno : BUSRT_CURSOR_END;
        lines->text[strcspn(lines->text, "\n")] = '\0';
        lines->number++;
        r = put_line(cursor, lines);
        return r < 0 ? r : BUSRT_CURSOR_MORE;
}

static int method_lines(busrt_client *client, busrt_request *request, void *userdata)
{
        struct lines *lines = calloc(1, sizeof(*lines));
        int r;

        if (!lines)
                return -ENOMEM;
        lines->file = fopen(userdata, "re");
        r = lines->file ? 0 : -errno;
        if (r >= 0)
                r = busrt_request_reply_cursor(request, lines_next, lines_free, lines,
                                               UNUSED_FOR_AT_MOST);
        if (r < 0)
                lines_free(lines); /* they are ours still */
        return r;
}

/* --- Callers that have gone: the broker announces {s: "unreg", d: name} --- */

static void on_info(busrt_client *client, busrt_frame *frame, const char *mask, void *userdata)
{
        msgpack_unpacked news;
        const msgpack_object *what;
        const char *who;
        size_t len;
        char name[1025];

        if (busrt_frame_unpack(frame, &news) < 0)
                return;
        what = busrt_map_get(&news.data, "s");
        if (what && busrt_object_is(what, "unreg") &&
            busrt_map_get_string(&news.data, "d", &who, &len) >= 0 && len > 0 &&
            len < sizeof(name)) {
                memcpy(name, who, len);
                name[len] = '\0';
                if (busrt_client_close_cursors(client, name) > 0)
                        fprintf(stderr, "%s went away\n", name);
        }
        msgpack_unpacked_destroy(&news);
}

static int serve(busrt_client *client, char *path)
{
        const busrt_method method = {"lines", method_lines, path, 0};
        int r = busrt_client_add_methods(client, &method, 1);

        if (r >= 0)
                r = busrt_client_add_cursor_methods(client, &names);
        if (r >= 0)
                r = busrt_client_connect(client, NULL);
        if (r >= 0)
                r = busrt_client_subscribe_handler(client, ".broker/info", on_info, NULL,
                                                   BUSRT_QOS_PROCESSED, NULL);
        if (r >= 0) {
                fprintf(stderr, "%s serves\n", busrt_client_get_name(client));
                r = busrt_client_run(client);
        }
        return r;
}

int main(int argc, char **argv)
{
        busrt_client *client;
        int r;

        if (argc != 3) {
                fprintf(stderr, "usage: %s NAME FILE\n", argv[0]);
                return 2;
        }
        r = busrt_client_new(argv[1], &client);
        if (r >= 0) {
                r = serve(client, argv[2]);
                busrt_client_free(client);
        }
        fprintf(stderr, "%s: %s\n", argv[1], busrt_strerror(r));
        return EXIT_FAILURE;
}
