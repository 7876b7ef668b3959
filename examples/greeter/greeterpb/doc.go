// Package greeterpb is the output of protoc-gen-go and protoc-gen-go-grpc for
// greeter.proto.
package greeterpb

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate
