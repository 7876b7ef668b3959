// Package greeterpb is what protoc-gen-go and protoc-gen-go-grpc make of
// greeter.proto, unchanged.
package greeterpb

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate
