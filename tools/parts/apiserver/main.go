// Package main is the API server that tests and `make stack` run on: upstream's kube-apiserver with an etcd member
// in the same process. It takes kube-apiserver's own flags after `--`, and etcd's ports and a folder before it:
//
//	segmon-apiserver -dir DIR -etcd-port N -etcd-peer-port N -- --secure-port=... (kube-apiserver's flags)
//
// In the folder it keeps etcd's data and the key that signs service account tokens (made when absent).
//
// It trusts whoever starts it and is meant for loopback only: the etcd inside has no authentication.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	dir := flag.String("dir", "", "folder of etcd's data and the signing key")
	client := flag.Int("etcd-port", 0, "loopback port that the API server uses")
	peer := flag.Int("etcd-peer-port", 0, "loopback port that a one-member cluster needs but nobody calls")
	flag.Parse()

	key := filepath.Join(*dir, "service-account.key")
	must("signing key", writeKey(key))
	must("etcd", startEtcd(filepath.Join(*dir, "etcd"), *client, *peer))

	command := app.NewAPIServerCommand()
	command.SetArgs(append(flag.Args(),
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", *client),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+key,
		"--service-account-signing-key-file="+key,
	))
	os.Exit(cli.Run(command))
}

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "segmon-apiserver: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func writeKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
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
