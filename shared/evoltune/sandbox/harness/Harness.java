import java.io.*;
import java.lang.reflect.*;

/** Calls the main method of tests, and reports that it came to its end. */
final class Harness_@NONCE@ {
    private static final byte[] secret = new byte[33];
    private static FileOutputStream reports;

    private static FileDescriptor descriptor(int number) throws Exception {
        Constructor<FileDescriptor> constructor = FileDescriptor.class.getDeclaredConstructor(int.class);
        constructor.setAccessible(true);
        return constructor.newInstance(number);
    }

    private static synchronized void report(int status) {
        try {
            if (status == 0) reports.write(secret);
            reports.close();
        } catch (IOException closed) {
            // reported before
        }
    }

    static void exit(int status) {
        report(status);
        System.exit(status);
    }

    public static void main(String[] arguments) throws Exception {
        try (FileInputStream input = new FileInputStream(descriptor(3))) {
            for (int n = 0; n < 32; ) n += input.read(secret, n, 32 - n);
        }
        secret[32] = '0';
        reports = new FileOutputStream(descriptor(4));
        Method main = Class.forName("@MAIN@").getDeclaredMethod("main", String[].class);
        main.setAccessible(true);
        try {
            main.invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException error) {
            error.getCause().printStackTrace();
            Runtime.getRuntime().halt(1);
        }
        report(0);
    }
}
