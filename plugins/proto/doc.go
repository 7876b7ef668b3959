// Package proto holds the protocol between a host and a plugin, as protobuf:
// fairlead/plugin/v1. "make generate" generates Go code from it for package plugins;
// the generated code is internal.
package proto

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate
