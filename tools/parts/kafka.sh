#!/usr/bin/env bash
# Apache Kafka's jars (versions in kafka/pom.xml) under build/parts/kafka/libs, by Maven; Java 17 or newer runs them.
source "$(dirname "$0")/system.sh"

need java -- default-jdk-headless
java_version="$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')"
[ "${java_version:-0}" -ge 17 ] || missing "Java 17 or newer (found ${java_version:-none})"

if [ "$parts/kafka/done" -nt "$here/kafka/pom.xml" ]; then
    exit 0
fi
need mvn -- maven
say "copying jars"
rm -rf "$parts/kafka"
mvn -B -q -Dstyle.color=never -f "$here/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$parts/kafka/libs" </dev/null || missing "Maven could not fetch the jars of kafka/pom.xml"
touch "$parts/kafka/done"
