/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt as a client program of the interop suite: it reads orders from stdin, one JSON object a
 * line, answers each, and writes what arrives from the bus as events.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "basic/macro.h"
#include "commands.h"
#include "connection.h"

static void handle(const char *line)
{
        json_object *order = json_tokener_parse(line), *answer;

        if (!order)
                errx(EXIT_FAILURE, "no JSON: %s", line);
        answer = command_run(order);
        json_object_object_add(answer, "id", json_object_get(json_object_object_get(order, "id")));
        say(answer);
        json_object_put(order);
}

int main(void)
{
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        while (getline(&line, &size, stdin) >= 0)
                handle(line);
        connections_close();
        return EXIT_SUCCESS;
}
