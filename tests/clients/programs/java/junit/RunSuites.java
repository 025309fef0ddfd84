import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.junit.internal.runners.ErrorReportingRunner;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.manipulation.Filter;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;
import org.junit.runners.Suite;

/**
 * Runs the test classes that JUnit 4 suites name, by name (in the suites' own order some meet what others leave behind), and
 * prints a line `RESULT PASS id` for each test, or FAIL or SKIP. An id is the class, without the prefix that -Dprefix gives,
 * and the method. -Donly and -Dskip are patterns for whole ids, -Dlimit the seconds that a class may take. What tests and
 * failures say goes to standard error.
 */
public class RunSuites {
    private static final String PREFIX = System.getProperty("prefix", "");
    private static final Pattern ONLY = Pattern.compile(System.getProperty("only", ".*"));
    private static final Pattern SKIP = Pattern.compile(System.getProperty("skip", ""));
    private static final long LIMIT_S = Long.getLong("limit", 300);

    public static void main(String[] suites) throws Exception {
        Map<String, Class<?>> classes = new TreeMap<>();
        for (String suite : suites) {
            Class<?> named = Class.forName(suite, false, RunSuites.class.getClassLoader());
            for (Class<?> tests : named.getAnnotation(Suite.SuiteClasses.class).value()) {
                classes.put(tests.getSimpleName(), tests);
            }
        }
        for (Class<?> tests : classes.values()) run(tests);
        System.out.flush();
        Runtime.getRuntime().halt(0); // some tests leave threads behind
    }

    private static void run(Class<?> tests) throws InterruptedException {
        Request request = Request.aClass(tests).filterWith(new Wanted());
        if (request.getRunner() instanceof ErrorReportingRunner) return; // nothing of it is wanted
        Verdicts verdicts = new Verdicts();
        Thread thread = new Thread(() -> {
            JUnitCore core = new JUnitCore();
            core.addListener(verdicts);
            core.run(request);
        });
        long start = System.nanoTime();
        thread.setDaemon(true);
        thread.start();
        thread.join(LIMIT_S * 1000);
        if (thread.isAlive()) {
            verdicts.end(tests);
            thread.interrupt();
        }
        System.err.printf("--- %s: %.1f s%n", tests.getName(), (System.nanoTime() - start) / 1e9);
    }

    private static String id(Description test) {
        String type = test.getClassName();
        type = type.startsWith(PREFIX) ? type.substring(PREFIX.length()) : type;
        return test.getMethodName() == null ? type : type + "#" + test.getMethodName();
    }

    private static final class Wanted extends Filter {
        @Override
        public boolean shouldRun(Description described) {
            if (described.isSuite()) return described.getChildren().stream().anyMatch(this::shouldRun);
            return ONLY.matcher(id(described)).matches() && !SKIP.matcher(id(described)).matches();
        }

        @Override
        public String describe() {
            return "only " + ONLY + ", not " + SKIP;
        }
    }

    private static final class Verdicts extends RunListener {
        private final Set<String> judged = new TreeSet<>();
        private boolean ended;

        private synchronized void say(String verdict, Description test) {
            if (!ended && judged.add(id(test))) System.out.println("RESULT " + verdict + " " + id(test));
        }

        synchronized void end(Class<?> tests) {
            say("FAIL", Description.createSuiteDescription(tests));
            ended = true;
            System.err.println("--- " + tests.getName() + " ran into its limit of " + LIMIT_S + " s");
        }

        @Override
        public void testStarted(Description test) {
            System.err.println("--- " + id(test));
        }

        @Override
        public void testFailure(Failure failure) {
            System.err.println("--- failed: " + id(failure.getDescription()) + ": " + failure.getTrace());
            say("FAIL", failure.getDescription());
        }

        @Override
        public void testAssumptionFailure(Failure failure) {
            say("SKIP", failure.getDescription());
        }

        @Override
        public void testIgnored(Description test) {
            say("SKIP", test);
        }

        @Override
        public void testFinished(Description test) {
            say("PASS", test);
        }
    }
}
