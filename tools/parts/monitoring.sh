#!/usr/bin/env bash
# Prometheus with promtool, Alertmanager with amtool: Debian's packages, their services left alone.
source "$(dirname "$0")/system.sh"

need prometheus promtool -- prometheus
need prometheus-alertmanager amtool -- prometheus-alertmanager
