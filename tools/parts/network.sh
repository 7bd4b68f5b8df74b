#!/usr/bin/env bash
# Network namespaces and iptables for kernel LOG lines; Graphviz and rsyslog to check what we emit.
source "$(dirname "$0")/system.sh"

need ip iptables ip6tables sysctl -- iproute2 iptables procps
need dot -- graphviz
need rsyslogd -- rsyslog
