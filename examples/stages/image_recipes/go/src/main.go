// A web server that greets.
package main

import (
	"fmt"
	"log"
	"net/http"
	"time"
)

func greet(answer http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(answer, "Hello from Go on Ingot")
}

func main() {
	http.HandleFunc("/", greet)
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
