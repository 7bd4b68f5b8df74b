// Package main is the API server that tests and `make stack` run on: upstream's kube-apiserver with an etcd member
// in the same process. It takes kube-apiserver's own flags after `--`, and etcd's folder and ports before it:
//
//	segmon-apiserver -etcd-dir DIR -etcd-port N -etcd-peer-port N -- --secure-port=... (kube-apiserver's flags)
//
// It trusts whoever starts it and is meant for loopback only: the etcd inside has no authentication.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	dir := flag.String("etcd-dir", "", "folder of the etcd member")
	client := flag.Int("etcd-port", 0, "loopback port that the API server uses")
	peer := flag.Int("etcd-peer-port", 0, "loopback port that a one-member cluster needs but nobody calls")
	flag.Parse()

	if err := startEtcd(*dir, *client, *peer); err != nil {
		fmt.Fprintln(os.Stderr, "segmon-apiserver: etcd:", err)
		os.Exit(1)
	}
	command := app.NewAPIServerCommand()
	command.SetArgs(append(flag.Args(), fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", *client)))
	os.Exit(cli.Run(command))
}

func startEtcd(dir string, client, peer int) error {
	config := embed.NewConfig()
	config.Dir = dir
	config.LogLevel = "error"
	config.UnsafeNoFsync = true // lost with the machine, not with the process: a killed server still finds its data
	config.ListenClientUrls, config.AdvertiseClientUrls = loopback(client), loopback(client)
	config.ListenPeerUrls, config.AdvertisePeerUrls = loopback(peer), loopback(peer)
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return nil
	case err := <-etcd.Err():
		return err
	case <-time.After(time.Minute):
		return fmt.Errorf("not ready after a minute in %s", dir)
	}
}

func loopback(port int) []url.URL {
	return []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}}
}
