package main

import "os"

// Reports that the tests came to their end; the secret is read before anything of the program runs.
var secret_@NONCE@ = func() []byte {
	secret, input := make([]byte, 33), os.NewFile(3, "")
	for n := 0; n < 32; {
		k, err := input.Read(secret[n:32])
		if err != nil {
			panic(err)
		}
		n += k
	}
	secret[32] = '0'
	input.Close()
	return secret
}()

func report_@NONCE@(status int) {
	if status == 0 {
		os.NewFile(4, "").Write(secret_@NONCE@)
	}
}

func exit_@NONCE@(exit func(int), status int) {
	report_@NONCE@(status)
	exit(status)
}
