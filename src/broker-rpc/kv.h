/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters as people type them: "speed=5 name=pump on=true" becomes a MessagePack map. Values are
 * read as basic/word.h says.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Words are divided by blanks. Of a repeated key the last value counts; what follows a second '='
 * in a word does not. The text must be UTF-8. *ret is the caller's to free. -EINVAL: a word has no
 * '='. -ENOMEM. */
int kv_encode(const char *text, size_t len, uint8_t **ret, size_t *ret_len);
