// Command servers is etcd or nats-server, according to its first argument: the
// testbed's real servers in one binary, built from pinned modules, run in separate
// processes.
//
//	servers etcd [etcd's own flags]
//	servers nats-server [nats-server's own flags]
//
// It is a separate module, so that the servers' dependencies never become
// dependencies of a program that imports fairlead.dev.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch name, args := os.Args[1], os.Args[2:]; name {
	case "etcd":
		etcdmain.Main(append([]string{name}, args...))
	case "nats-server":
		if err := nats(name, args); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: servers etcd|nats-server [flags of that server]")
	os.Exit(2)
}

// nats runs a nats-server until a signal ends it.
func nats(name string, args []string) error {
	if err := setElections(); err != nil {
		return err
	}
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	opts, err := server.ConfigureOptions(flags, args, server.PrintServerAndExit, flags.Usage, server.PrintTLSHelpAndDie)
	if err != nil {
		return err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}
