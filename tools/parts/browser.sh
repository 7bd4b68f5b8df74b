#!/usr/bin/env bash
# Chromium without a window, with fonts that have the signs our pages use.
source "$(dirname "$0")/system.sh"

need chromium -- chromium fonts-dejavu-core fonts-liberation
