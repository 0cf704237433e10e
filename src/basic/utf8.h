/* SPDX-License-Identifier: Apache-2.0 */
/* Is this text UTF-8? Overlong forms, surrogates and code points above U+10FFFF are not. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool utf8_is_valid(const void *text, size_t len);
